import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import type { IFeed } from './feed';
import type { IChange } from './states';

/**
 * The server's things of one kind: read when the page connects, then kept by events.
 *
 * An event that comes during a reading is applied after it: the reading may be older.
 */
export class Collection<
  T extends { readonly id: string }
> implements IDisposable {
  /**
   * @param kind - As events name it.
   * @param feed - Where they come from.
   * @param source - Reads all of them.
   * @param order - Compares two for `items`.
   */
  constructor(
    readonly kind: string,
    feed: IFeed,
    private readonly _source: () => Promise<readonly T[]>,
    private readonly _order: (a: T, b: T) => number
  ) {
    this._feed = feed;
    feed.changed.connect(this._onChange, this);
    feed.connected.connect(this._onConnected, this);
  }

  /** Emitted when `items`, `error` or `ready` has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** All of them, in order. */
  get items(): readonly T[] {
    return this._items;
  }

  /** Why they could not be read, in one line, or nothing. */
  get error(): string {
    return this._error;
  }

  /** Whether they have been read once. */
  get ready(): boolean {
    return this._ready;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._feed.changed.disconnect(this._onChange, this);
    this._feed.connected.disconnect(this._onConnected, this);
    Signal.clearData(this);
  }

  get(id: string): T | undefined {
    return this._known.get(id);
  }

  /** Read all of them again. */
  async read(): Promise<void> {
    const turn = ++this._turn;
    const missed = (this._missed = [] as IChange[]);
    let items: readonly T[] = [];
    let error = '';
    try {
      items = await this._source();
    } catch (reason) {
      error = reason instanceof Error ? reason.message : String(reason);
    }
    if (turn !== this._turn || this.isDisposed) {
      return; // a later reading knows more
    }
    this._missed = null;
    this._error = error;
    if (!error) {
      this._known = new Map(items.map(item => [item.id, item]));
      this._ready = true;
      missed.forEach(change => this._keep(change));
    }
    this._emit();
  }

  /** Take in what a request has answered, before the event of it comes. */
  protected put(item: T): void {
    this._apply({ kind: this.kind, changed: [item], removed: [] });
  }

  /** Leave out what a request has removed. */
  protected drop(id: string): void {
    this._apply({ kind: this.kind, changed: [], removed: [id] });
  }

  private _onChange(_: IFeed, change: IChange): void {
    if (change.kind === this.kind) {
      this._apply(change);
    }
  }

  private _onConnected(): void {
    // also of a lost connection: either it is read all the same, or the reason is told
    void this.read();
  }

  private _apply(change: IChange): void {
    this._missed?.push(change);
    this._keep(change);
    this._emit();
  }

  private _keep(change: IChange): void {
    change.removed.forEach(id => this._known.delete(id));
    // the server's schema says that what changed of a kind is of its type
    change.changed.forEach(item => this._known.set(item.id, item as T));
  }

  private _emit(): void {
    this._items = [...this._known.values()].sort(this._order);
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _feed: IFeed;
  private _error = '';
  private _isDisposed = false;
  private _items: readonly T[] = [];
  private _known = new Map<string, T>();
  private _missed: IChange[] | null = null;
  private _ready = false;
  private _turn = 0;
}
