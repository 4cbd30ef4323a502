import { Signal } from '@lumino/signaling';

import type { IFeed } from '../src/feed';
import type { ICell, INote, IOutput } from '../src/outputs';
import { noted } from '../src/outputs';
import type { IChange, ICluster, ISearch } from '../src/states';

/** Events that a test emits itself. */
export class FakeFeed implements IFeed {
  readonly changed = new Signal<this, IChange>(this);
  readonly connected = new Signal<this, boolean>(this);

  tell(kind: string, changed: { id: string }[], removed: string[] = []): void {
    this.changed.emit({ kind, changed, removed });
  }
}

/** A promise that a test settles itself. */
export class Later<T> {
  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (reason: Error) => void;
}

/** Let all that is settled go on. */
export function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}

export function cluster(id: string, more: Partial<ICluster> = {}): ICluster {
  return {
    id,
    profile: 'local',
    state: 'running',
    words: '',
    notebook: '',
    created: 0,
    ended: 0,
    workers: 2,
    adapt: null,
    present: 2,
    threads: 2,
    memory: 0,
    limit: 0,
    dashboard: '',
    address: '',
    here: true,
    ...more
  };
}

export function search(id: string, more: Partial<ISearch> = {}): ISearch {
  return {
    id,
    name: 'GridSearchCV(Pipeline)',
    status: 'running',
    notebook: 'a.ipynb',
    kernel: 'kernel',
    cell: 'cell',
    cluster: 'local-1',
    started: 0,
    updated: 1,
    cells: 10,
    cells_done: 1,
    fits: 10,
    fits_done: 1,
    fits_saved: 0,
    seconds: 1,
    seconds_left: null,
    best: null,
    failures: [],
    ...more
  };
}

/** A code cell without a page. */
export class FakeCell implements ICell {
  constructor(more: Partial<FakeCell> = {}) {
    Object.assign(this, more);
  }

  kernel = 'kernel';
  id = 'cell';
  connected = false;
  trusted = true;
  outputs: IOutput[] = [];
  shown = 0;

  get notes(): INote[] {
    return this.outputs.map(noted).filter(note => note !== undefined);
  }

  show(outputs: IOutput[]): void {
    this.outputs = outputs;
    this.shown += 1;
  }
}
