import type { KernelMessage } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import type { IFeed } from '../src/feed';
import type { IParameter } from '../src/form';
import type { IKernel } from '../src/kernel';
import type { ICell, INote, IOutput } from '../src/outputs';
import { noted } from '../src/outputs';
import type {
  IChange,
  ICluster,
  IExport,
  IExportOptions,
  IFinding,
  IRun,
  ISearch
} from '../src/states';

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

/** English: Node.js cannot load JupyterLab's own. */
export const trans = {
  __: (text: string, ...values: unknown[]) =>
    text.replace(/%(\d)/g, (_, i: string) => String(values[Number(i) - 1]))
} as TranslationBundle;

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
    differs: [],
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
    count: 3,
    cluster: 'local-1',
    cluster_id: 'local-1',
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
    run: '',
    ...more
  };
}

export function recorded(id: string, more: Partial<IRun> = {}): IRun {
  return {
    id,
    name: 'GridSearchCV(Pipeline)',
    status: 'done',
    started: 0,
    best: 0.5,
    notebook: 'a.ipynb',
    tags: [],
    ...more
  };
}

export function finding(id: string, more: Partial<IFinding> = {}): IFinding {
  return {
    id,
    level: 'warning',
    where: 'cell 1',
    what: '',
    remedy: '',
    answer: '',
    open: true,
    cell: '',
    file: null,
    ...more
  };
}

export function exported(
  id: string,
  options: Partial<IExportOptions> = {},
  more: Partial<IExport> = {}
): IExport {
  return {
    id,
    kernel: 'kernel',
    cell: 'cell',
    options: {
      folder: 'out',
      plan: false,
      accept: [],
      yes: false,
      wheels: false,
      binder: '',
      thebe: false,
      course: false,
      docker: false,
      kubernetes: false,
      name: '',
      image: false,
      git: false,
      verify: true,
      sources: [],
      ...options
    },
    folder: '/out',
    path: 'out',
    started: 0,
    status: 'exported',
    stage: '',
    claims: [],
    report: null,
    error: '',
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
  count: number | null = 0;

  get notes(): INote[] {
    return this.outputs.map(noted).filter(note => note !== undefined);
  }

  show(outputs: IOutput[], count: number | null): void {
    this.outputs = outputs;
    this.count = count;
    this.shown += 1;
  }
}

export function parameter(
  name: string,
  step: string,
  suggested: string[] = []
): IParameter {
  return { name, step, value: '', range: 'anything', suggested };
}

type Reply = KernelMessage.IExecuteReplyMsg['content'];

/** A kernel that answers when a test says so, its last request. */
export class FakeKernel implements IKernel {
  readonly id = 'kernel';
  readonly isDisposed = false;
  readonly contents: KernelMessage.IExecuteRequestMsg['content'][] = [];
  status: IKernel['status'] = 'idle';

  /** The expressions that were asked for. */
  get asked(): unknown[] {
    return this.contents.map(one => one.user_expressions?.['scale']);
  }

  requestExecute(
    content: KernelMessage.IExecuteRequestMsg['content']
  ): ReturnType<IKernel['requestExecute']> {
    this.contents.push(content);
    this._last = new Later();
    return { done: this._last.promise };
  }

  answer(value: unknown): void {
    const data = { 'application/json': value };
    this.reply({
      status: 'ok',
      user_expressions: { scale: { status: 'ok', data } }
    });
  }

  fail(ename: string, evalue: string): void {
    const scale = { status: 'error', ename, evalue };
    this.reply({ status: 'ok', user_expressions: { scale } });
  }

  reply(content: object): void {
    this._last?.resolve({ content: content as Reply });
  }

  reject(reason: Error): void {
    this._last?.reject(reason);
  }

  private _last: Later<{ content: Reply }> | undefined;
}
