import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import type { IFeed } from './feed';
import type { Requests } from './requests';
import type { IChange, IChoice } from './states';

/** The cluster that each kernel is to use, of the kernels that were asked about. */
export class Choices implements IDisposable {
  constructor(
    private readonly _requests: Pick<Requests, 'choice' | 'choose'>,
    feed: IFeed
  ) {
    this._feed = feed;
    feed.changed.connect(this._onChange, this);
    feed.connected.connect(this._onConnected, this);
  }

  /** Emitted with the id of a kernel whose choice has changed. */
  get changed(): ISignal<this, string> {
    return this._changed;
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

  /** The cluster's id, or nothing; asked for when it is not known yet. */
  of(kernel: string): string {
    const known = this._known.get(kernel);
    if (known === undefined && kernel) {
      this._known.set(kernel, '');
      void this._read(kernel);
    }
    return known ?? '';
  }

  /** Have a kernel use a cluster from its next %%scale on; nothing takes the choice back. */
  async choose(kernel: string, cluster: string): Promise<void> {
    await this._requests.choose(kernel, cluster);
    this._set(kernel, cluster);
  }

  private async _read(kernel: string): Promise<void> {
    try {
      this._set(kernel, await this._requests.choice(kernel));
    } catch {
      // the kernel has gone, or the server: then it is asked again when that is back
    }
  }

  private _onChange(_: IFeed, change: IChange): void {
    if (change.kind === 'choices') {
      (change.changed as readonly IChoice[]).forEach(choice =>
        this._set(choice.id, choice.cluster)
      );
      change.removed.forEach(kernel => this._set(kernel, ''));
    }
  }

  private _onConnected(_: IFeed, connected: boolean): void {
    if (connected) {
      [...this._known.keys()].forEach(kernel => void this._read(kernel));
    }
  }

  private _set(kernel: string, cluster: string): void {
    if (this._isDisposed || this._known.get(kernel) === cluster) {
      return;
    }
    this._known.set(kernel, cluster);
    this._changed.emit(kernel);
  }

  private readonly _changed = new Signal<this, string>(this);
  private readonly _feed: IFeed;
  private _isDisposed = false;
  private readonly _known = new Map<string, string>();
}
