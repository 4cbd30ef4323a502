import { EventManager, type ServerConnection } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import type { IChange } from './states';

const SCHEMA = 'https://events.jupyter.org/jupyter_scale/changed/v1';

/** The server's changes, and whether they can reach this page. */
export interface IFeed {
  readonly changed: ISignal<IFeed, IChange>;
  /** Emitted each time that the connection is made (true) or lost (false). */
  readonly connected: ISignal<IFeed, boolean>;
}

/**
 * Jupyter's events, on a socket of our own.
 *
 * The application's event manager connects again by itself, too, but tells nobody: what was missed
 * in between could not be read again.
 */
export class Feed implements IFeed, IDisposable {
  constructor(settings: ServerConnection.ISettings) {
    const connected = this._connected;
    class Watched extends settings.WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        this.addEventListener('open', () => connected.emit(true));
        this.addEventListener('close', () => connected.emit(false));
      }
    }
    const serverSettings = { ...settings, WebSocket: Watched };
    this._events = new EventManager({ serverSettings });
    this._events.stream.connect((_, event) => {
      if (event.schema_id === SCHEMA) {
        this._changed.emit(event as unknown as IChange);
      }
    });
  }

  get changed(): ISignal<this, IChange> {
    return this._changed;
  }

  get connected(): ISignal<this, boolean> {
    return this._connected;
  }

  get isDisposed(): boolean {
    return this._events.isDisposed;
  }

  dispose(): void {
    this._events.dispose();
    Signal.clearData(this);
  }

  private readonly _changed = new Signal<this, IChange>(this);
  private readonly _connected = new Signal<this, boolean>(this);
  private readonly _events: EventManager;
}
