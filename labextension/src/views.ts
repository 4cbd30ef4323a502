import type { ILabShell } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import { type IRenderMimeRegistry, MimeModel } from '@jupyterlab/rendermime';
import type { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';

import { scaleIcon } from './icon';
import type { Searches } from './searches';
import type { ISearch } from './states';

const PREFIX = 'jupyter-scale-search-';
const PAGE = 'jupyter-scale-page-';
const HTML = 'text/html';

/** What the cells of searches show, and what is on record, in tabs of their own. */
export class Views {
  constructor(
    private readonly _shell: ILabShell,
    private readonly _searches: Searches,
    private readonly _rendermime: IRenderMimeRegistry
  ) {}

  /** Open a search beside the notebooks, or go there if it is open. */
  open(search: ISearch): void {
    const id = `${PREFIX}${search.id}`;
    if (!this._find(id)) {
      const content = new View(search.id, this._searches, this._rendermime);
      this._add(id, search.name, content);
    }
    this._shell.activateById(id);
  }

  /** Open what does not change by itself, or show it anew where it is open. */
  async page(name: string, title: string, html: string): Promise<void> {
    const id = `${PAGE}${name}`;
    const content = this._find(id)?.content ?? new Panel();
    content.addClass('jps-View');
    await render(content, html, this._rendermime);
    if (!this._find(id)) {
      this._add(id, title, content);
    }
    this._shell.activateById(id);
  }

  private _find(id: string): MainAreaWidget<Panel> | undefined {
    const found = [...this._shell.widgets('main')].find(one => one.id === id);
    return found as MainAreaWidget<Panel> | undefined; // the ids are ours
  }

  private _add(id: string, title: string, content: Panel): void {
    const widget = new MainAreaWidget({ content });
    widget.id = id;
    widget.title.label = title;
    widget.title.icon = scaleIcon;
    widget.title.closable = true;
    const others = [...this._shell.widgets('main')].filter(isOurs);
    const ref = others.at(-1)?.id;
    this._shell.add(
      widget,
      'main',
      ref ? { mode: 'tab-after', ref } : { mode: 'split-right' }
    );
  }
}

function isOurs({ id }: { id: string }): boolean {
  return id.startsWith(PREFIX) || id.startsWith(PAGE);
}

/** Show this in the place of what was there. */
async function render(
  panel: Panel,
  html: string,
  rendermime: IRenderMimeRegistry
): Promise<void> {
  // made and escaped by the server
  const model = new MimeModel({ data: { [HTML]: html }, trusted: true });
  const renderer = rendermime.createRenderer(HTML);
  await renderer.renderModel(model);
  const before = [...panel.widgets];
  const { scrollTop } = panel.node;
  panel.addWidget(renderer);
  before.forEach(widget => widget.dispose());
  panel.node.scrollTop = scrollTop;
}

/**
 * One search, live, whatever its kernel does. Nothing is asked for while it is not in sight; the
 * last state stays when the search is dismissed.
 */
class View extends Panel {
  constructor(
    private readonly _search: string,
    private readonly _searches: Searches,
    private readonly _rendermime: IRenderMimeRegistry
  ) {
    super();
    this.addClass('jps-View');
    _searches.changed.connect(this._look, this);
  }

  dispose(): void {
    this._searches.changed.disconnect(this._look, this);
    super.dispose();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._look();
  }

  private _look(): void {
    const search = this._searches.get(this._search);
    const due = search && search.updated !== this._shown && this.isVisible;
    if (due && !this._busy) {
      this._busy = true;
      void this._show(search).finally(() => {
        this._busy = false;
      });
    }
  }

  private async _show(search: ISearch): Promise<void> {
    const found = await this._searches.shown(search.id).catch(() => null);
    if (!found || this.isDisposed) {
      return; // the server is gone, or has forgotten it: its return is a change
    }
    this._shown = found.search.updated;
    await render(this, found.html, this._rendermime);
  }

  private _busy = false;
  private _shown = NaN;
}
