import type { IDisposable } from '@lumino/disposable';

import type { Searches } from './searches';
import { alive, type ISearch, type IShown } from './states';

const WIDGET = 'application/vnd.jupyter.widget-view+json';

/** The part of nbformat's outputs that is looked at here. */
export interface IOutput {
  readonly output_type: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What the metadata of an output say of the search that it shows. */
export interface INote {
  readonly search: string;
  readonly status: string;
  /** Only of what this page has shown. */
  readonly updated?: number;
}

/** A code cell of an open notebook. */
export interface ICell {
  readonly kernel: string;
  readonly id: string;
  /** Whether what its kernel puts out reaches this page: then nothing of it is touched. */
  readonly connected: boolean;
  readonly trusted: boolean;
  /** What its outputs say of searches. */
  readonly notes: readonly INote[];
  readonly outputs: readonly IOutput[];
  /** Show these outputs, as trusted, and this number; null while it runs. */
  show(outputs: IOutput[], count: number | null): void;
}

/**
 * Decide whether this page is to show a search in a cell.
 *
 * It is, if the search runs there, but the outputs do not reach this page, which was loaded later,
 * and what is there is older; or if it has ended, and an output there still says that it runs.
 */
export function due(search: ISearch, cell: ICell): boolean {
  const notes = cell.notes.filter(note => note.search === search.id);
  if (alive(search.status)) {
    const there = cell.kernel === search.kernel && cell.id === search.cell;
    const shown = notes.some(note => (note.updated ?? 0) >= search.updated);
    return there && search.cell !== '' && !cell.connected && !shown;
  }
  const stale = notes.some(note => alive(note.status));
  // nothing comes any more of an interrupted one, whatever the connection says
  return stale && (search.status === 'interrupted' || !cell.connected);
}

/** The outputs of a cell that shows this; without the buttons of a kernel that is not heard. */
export function replaced(cell: ICell, shown: IShown): IOutput[] {
  const { search, html, text } = shown;
  const { id, status, updated } = search;
  const note: INote = { search: id, status, updated };
  const fresh: IOutput = {
    output_type: 'display_data',
    data: { 'text/html': html, 'text/plain': text },
    metadata: { jupyter_scale: note }
  };
  // what is not trusted must not become so by standing next to what is
  const kept = cell.trusted
    ? cell.outputs.filter(output => !output.data || !(WIDGET in output.data))
    : [];
  const at = kept.findIndex(output => noted(output)?.search === id);
  // an earlier search of the same cell goes, too
  const others = kept.filter(output => !noted(output));
  const before =
    at < 0
      ? others.length
      : kept.slice(0, at).filter(output => !noted(output)).length;
  return [...others.slice(0, before), fresh, ...others.slice(before)];
}

/** What an output says of a search. */
export function noted(output: Pick<IOutput, 'metadata'>): INote | undefined {
  return output.metadata?.['jupyter_scale'] as INote | undefined;
}

/**
 * Searches that run in cells whose outputs do not reach this page, shown there all the same.
 *
 * JupyterLab does not connect a cell that runs to its kernel again after a reload. One request at a
 * time is in flight for a search, and the next only after a change.
 */
export class Outputs implements IDisposable {
  /**
   * @param searches - Those that may be shown.
   * @param cells - The code cells of all open notebooks, at this moment.
   */
  constructor(
    private readonly _searches: Searches,
    private readonly _cells: () => Iterable<ICell>
  ) {
    _searches.changed.connect(this.update, this);
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._searches.changed.disconnect(this.update, this);
  }

  /** Whether anything is shown. */
  get isEnabled(): boolean {
    return this._isEnabled;
  }

  set isEnabled(value: boolean) {
    this._isEnabled = value;
    this.update();
  }

  /** Look at all again: searches or notebooks have changed. */
  update(): void {
    if (!this._isEnabled) {
      return;
    }
    const cells = [...this._cells()];
    for (const search of this._searches.items) {
      if (this._busy.has(search.id)) {
        this._busy.set(search.id, true);
      } else if (cells.some(cell => due(search, cell))) {
        void this._show(search.id);
      }
    }
  }

  private async _show(id: string): Promise<void> {
    this._busy.set(id, false);
    const shown = await this._searches.shown(id).catch(() => null);
    const again = this._busy.get(id);
    this._busy.delete(id);
    if (this._isDisposed || !shown) {
      return; // it was forgotten, or the server is gone: its return is a change
    }
    for (const cell of this._cells()) {
      if (due(shown.search, cell)) {
        const { count, status } = shown.search;
        cell.show(replaced(cell, shown), alive(status) ? null : count);
      }
    }
    if (again) {
      this.update();
    }
  }

  /** What is asked for now, and whether something has changed since. */
  private readonly _busy = new Map<string, boolean>();
  private _isDisposed = false;
  private _isEnabled = true;
}
