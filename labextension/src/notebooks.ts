import type { Cell, CodeCell, ICodeCellModel } from '@jupyterlab/cells';
import {
  type INotebookTracker,
  NotebookActions,
  type NotebookPanel
} from '@jupyterlab/notebook';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import { type ICell, type INote, noted } from './outputs';

const LOAD = '%load_ext jupyter_scale';
const LOADS = /^\s*%(re)?load_ext\s+jupyter_scale\b/m;

type NotebookOutput = ReturnType<ICodeCellModel['outputs']['toJSON']>[number];

/** The open notebooks: which is in front, their kernels, their cells. */
export class Notebooks implements IDisposable {
  constructor(private readonly _tracker: INotebookTracker) {
    _tracker.currentChanged.connect(this._emit, this);
    _tracker.widgetAdded.connect((_, panel) => this._watch(panel));
    _tracker.forEach(panel => this._watch(panel));
  }

  /** Emitted when the notebook in front, a kernel, or what is open has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get current(): NotebookPanel | null {
    const { currentWidget } = this._tracker;
    return currentWidget?.isDisposed ? null : currentWidget;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    Signal.clearData(this);
  }

  /** The notebook that is open at this path. */
  at(path: string): NotebookPanel | undefined {
    return this._tracker.find(panel => panel.context.path === path);
  }

  /** The notebook whose kernel this is. */
  of(kernel: string): NotebookPanel | undefined {
    return this._tracker.find(panel => kernelOf(panel) === kernel);
  }

  /** All code cells. */
  *cells(): Iterable<ICell> {
    const panels: NotebookPanel[] = [];
    this._tracker.forEach(panel => panels.push(panel));
    for (const panel of panels) {
      for (const cell of panel.content.widgets) {
        if (cell.model.type === 'code') {
          yield new ShownCell(kernelOf(panel), cell as CodeCell);
        }
      }
    }
  }

  private _watch(panel: NotebookPanel): void {
    panel.sessionContext.kernelChanged.connect(this._emit, this);
    panel.sessionContext.sessionChanged.connect(this._emit, this);
    panel.context.pathChanged.connect(this._emit, this);
    panel.disposed.connect(this._emit, this);
    void Promise.all([panel.context.ready, panel.revealed]).then(() =>
      this._emit()
    );
    this._emit();
  }

  private _emit(): void {
    if (!this._isDisposed) {
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _isDisposed = false;
}

/** The id of a notebook's kernel, or nothing. */
export function kernelOf(panel: NotebookPanel | null | undefined): string {
  return panel?.sessionContext.session?.kernel?.id ?? '';
}

/** The name of a notebook's file. */
export function nameOf(panel: NotebookPanel): string {
  return panel.context.path.split('/').pop() ?? '';
}

/** Put a code cell below the active one, and go there; returns it. */
export function insert(panel: NotebookPanel, source: string): Cell | null {
  const notebook = panel.content;
  NotebookActions.insertBelow(notebook);
  if (notebook.activeCell && notebook.activeCell.model.type !== 'code') {
    NotebookActions.changeCellType(notebook, 'code');
  }
  const cell = notebook.activeCell;
  if (cell) {
    cell.model.sharedModel.setSource(source);
    reveal(panel, notebook.activeCellIndex);
  }
  return cell;
}

/** Put in a cell of the magics, and before it one that loads them, unless the notebook has that. */
export function insertMagic(panel: NotebookPanel, source: string): Cell[] {
  const loaded = panel.content.widgets.some(
    ({ model }) =>
      model.type === 'code' && LOADS.test(model.sharedModel.getSource())
  );
  const sources = loaded ? [source] : [LOAD, source];
  return sources.flatMap(one => insert(panel, one) ?? []);
}

/**
 * Have the cell that exports this notebook say this; where there is none yet, it is put last.
 *
 * Neither the active cell nor the focus changes.
 */
export function putExport(panel: NotebookPanel, line: string): Cell | null {
  const { widgets, model } = panel.content;
  const sources = widgets.map(({ model }) =>
    model.type === 'code' ? model.sharedModel.getSource() : ''
  );
  const last = sources.map(isExport).lastIndexOf(true);
  const others = sources.filter((_, i) => i !== last);
  const isLoaded = others.some(source => LOADS.test(source));
  const source = isLoaded ? line : `${LOAD}\n${line}`;
  const found = widgets[last];
  if (found) {
    found.model.sharedModel.setSource(source);
    return found;
  }
  model?.sharedModel.addCell({ cell_type: 'code', source });
  return panel.content.widgets.at(-1) ?? null;
}

/** Whether all that a cell does is to export: it is not to run where it was exported to. */
function isExport(source: string): boolean {
  const lines = source
    .split('\n')
    .map(line => line.trim())
    .filter(line => line && line !== LOAD);
  return (
    lines.length > 0 && lines.every(line => line.startsWith('%scale export'))
  );
}

/** What a code cell says is wrong, in one line, or nothing. */
export function complaint(cell: Cell): string {
  const outputs = (cell.model as ICodeCellModel).outputs.toJSON();
  const said = outputs.map(one => {
    if (one.output_type === 'error') {
      return `${String(one['ename'])}: ${String(one['evalue'])}`;
    }
    return one['name'] === 'stderr' ? String(one['text']) : '';
  });
  return said.filter(Boolean).at(-1)?.trim().split('\n')[0] ?? '';
}

/**
 * Run these cells, and wait for their end.
 *
 * A kernel drops what waits when a cell fails, and a search that is stopped is such a cell: what
 * was asked for here, after that, is asked for again.
 */
export async function run(panel: NotebookPanel, cells: Cell[]): Promise<void> {
  const { content, sessionContext } = panel;
  const isDone = await NotebookActions.runCells(content, cells, sessionContext);
  const isDropped = cells.every(
    ({ model }) => (model as ICodeCellModel).executionCount === null
  );
  if (!isDone && isDropped) {
    await NotebookActions.runCells(content, cells, sessionContext);
  }
}

/** Go to a cell; returns whether it is there. */
export function goTo(panel: NotebookPanel, id: string): boolean {
  const index = panel.content.widgets.findIndex(cell => cell.model.id === id);
  if (index < 0) {
    return false;
  }
  reveal(panel, index);
  return true;
}

function reveal(panel: NotebookPanel, index: number): void {
  const notebook = panel.content;
  notebook.activeCellIndex = index;
  notebook.deselectAll();
  const cell = notebook.widgets[index];
  if (cell) {
    void notebook.scrollToCell(cell, 'start').catch(() => undefined);
  }
  notebook.activate();
}

class ShownCell implements ICell {
  constructor(
    readonly kernel: string,
    private readonly _cell: CodeCell
  ) {
    this._model = _cell.model;
  }

  get id(): string {
    return this._model.id;
  }

  get connected(): boolean {
    // neither the area of a cell that was never in sight, nor its future, need be there
    const area = this._cell.outputArea as CodeCell['outputArea'] | undefined;
    const future = area?.future as CodeCell['outputArea']['future'] | undefined;
    return future !== undefined && future !== null && !future.isDisposed;
  }

  get trusted(): boolean {
    return this._model.trusted;
  }

  get notes(): INote[] {
    const { outputs } = this._model;
    return Array.from({ length: outputs.length }, (_, i) =>
      noted(outputs.get(i))
    ).filter(note => note !== undefined);
  }

  get outputs(): NotebookOutput[] {
    return this._model.outputs.toJSON();
  }

  show(outputs: NotebookOutput[], count: number | null): void {
    // the page that was loaded again knows neither that it runs nor its number
    this._model.executionCount = count || null;
    this._model.executionState = count === null ? 'running' : 'idle';
    const model = this._model.outputs;
    const [first] = outputs;
    if (!this._model.trusted) {
      model.clear();
      this._model.trusted = true;
    }
    if (outputs.length === 1 && model.length === 1 && first) {
      model.set(0, first); // in place: nothing jumps
    } else {
      model.fromJSON(outputs);
    }
  }

  private readonly _model: ICodeCellModel;
}
