import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import type { Requests } from './requests';
import type { Searches } from './searches';
import { alive, type IRun, type ISearch } from './states';

/** How many the server lists. */
export const MOST = 50;

type RunRequests = Pick<Requests, 'runs' | 'page'>;
type Known = Pick<Searches, 'items' | 'changed'>;

/**
 * The searches on record, the latest first.
 *
 * They are read when somebody looks at them, and again, as long as somebody does, when a search
 * has begun or ended.
 */
export class Runs implements IDisposable {
  constructor(
    private readonly _requests: RunRequests,
    private readonly _searches: Known
  ) {
    _searches.changed.connect(this._onSearches, this);
  }

  /** Emitted when anything here has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Those that match. */
  get items(): readonly IRun[] {
    const words = this._filter.toLowerCase().split(/\s+/);
    return this.all.filter(run => {
      const { id, name, notebook, status, tags } = run;
      const text = [id, name, notebook, status, ...tags].join(' ');
      return words.every(word => text.toLowerCase().includes(word));
    });
  }

  /** All that the server lists; what runs here is known better than the record has it. */
  get all(): readonly IRun[] {
    const known = new Map(this._searches.items.map(one => [one.run, one]));
    return this._runs.map(run => current(run, known.get(run.id)));
  }

  /** Words that each must be in a run's id, name, notebook, status or tags. */
  get filter(): string {
    return this._filter;
  }

  set filter(text: string) {
    this._filter = text;
    this._changed.emit();
  }

  /** Two that are to be compared, or fewer: the earlier one is the first. */
  get picked(): readonly string[] {
    const { _runs, _picked } = this;
    return _runs
      .map(run => run.id)
      .filter(id => _picked.includes(id))
      .reverse();
  }

  /** Why they could not be read, in one line, or nothing. */
  get error(): string {
    return this._error;
  }

  /** Whether they have been read once. */
  get ready(): boolean {
    return this._ready;
  }

  /** Whether somebody looks. */
  get isWatched(): boolean {
    return this._isWatched;
  }

  set isWatched(value: boolean) {
    const isNew = value && !this._isWatched;
    this._isWatched = value;
    if (isNew) {
      void this.read();
    }
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._searches.changed.disconnect(this._onSearches, this);
    Signal.clearData(this);
  }

  /** Pick one, or no longer; of three, the one picked first goes. */
  pick(id: string): void {
    this._picked = this._picked.includes(id)
      ? this._picked.filter(one => one !== id)
      : [...this._picked.slice(-1), id];
    this._changed.emit();
  }

  /** Read them again; one reading at a time. */
  async read(): Promise<void> {
    this._again = true;
    if (this._isBusy) {
      return;
    }
    this._isBusy = true;
    while (this._again && !this._isDisposed) {
      this._again = false;
      await this._read();
    }
    this._isBusy = false;
  }

  /** All about one, or what differs between two: HTML, made and escaped by the server. */
  page(...runs: readonly string[]): Promise<string> {
    return this._requests.page(...runs);
  }

  private async _read(): Promise<void> {
    this._stamp = stamp(this._searches.items);
    try {
      this._runs = await this._requests.runs();
      this._picked = this.picked; // without those that were removed
      this._error = '';
      this._ready = true;
    } catch (reason) {
      this._error = reason instanceof Error ? reason.message : String(reason);
    }
    if (!this._isDisposed) {
      this._changed.emit();
    }
  }

  private _onSearches(): void {
    if (!this._isWatched) {
      return;
    }
    if (stamp(this._searches.items) !== this._stamp) {
      void this.read();
    } else {
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _again = false;
  private _error = '';
  private _filter = '';
  private _isBusy = false;
  private _isDisposed = false;
  private _isWatched = false;
  private _picked: readonly string[] = [];
  private _ready = false;
  private _runs: readonly IRun[] = [];
  private _stamp = '';
}

/** Whether `%scale resume` has something to go on with. */
export function resumable(run: IRun): boolean {
  return ['lost', 'stopped', 'interrupted', 'failed'].includes(run.status);
}

/** What is true of a run now: the record is a moment behind the search. */
function current(run: IRun, search: ISearch | undefined): IRun {
  return search && alive(run.status)
    ? { ...run, status: search.status, best: search.best?.score ?? run.best }
    : run;
}

/** Which searches are on record, and which of them go on. */
function stamp(searches: readonly ISearch[]): string {
  return searches
    .filter(({ run }) => run)
    .map(({ run, status }) => `${run} ${alive(status)}`)
    .sort()
    .join();
}
