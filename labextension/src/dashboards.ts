import type { ILabShell, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import type { DocumentRegistry } from '@jupyterlab/docregistry';
import type { TranslationBundle } from '@jupyterlab/translation';
import { IFrame } from '@jupyterlab/ui-components';

import { scaleIcon } from './icon';
import type { ICluster } from './states';

// dask-labextension's
const POPULATE = 'dask:populate-dashboard-url';
const LAUNCH = 'dask:launch-dashboard';
// how the ids of its tabs begin, and of our own
const DASKS = 'dask-dashboard-';
const PREFIX = 'jupyter-scale-plot-';

/** One of Dask's plots: where it is on the dashboard, and its name. */
export interface IPlot {
  readonly route: string;
  readonly label: string;
}

/** Dask's plots that help with searches, the most telling first. */
export function plots(trans: TranslationBundle): IPlot[] {
  return [
    { route: 'individual-task-stream', label: trans.__('Task stream') },
    { route: 'individual-progress', label: trans.__('Progress') },
    { route: 'individual-workers', label: trans.__('Workers') },
    { route: 'individual-workers-memory', label: trans.__('Memory') },
    { route: 'individual-cpu', label: trans.__('CPU') },
    { route: 'individual-graph', label: trans.__('Graph') },
    { route: 'individual-nprocessing', label: trans.__('Tasks by worker') },
    { route: 'individual-occupancy', label: trans.__('Occupancy') },
    { route: 'individual-profile', label: trans.__('Profile') },
    { route: 'individual-bandwidth-workers', label: trans.__('Bandwidth') }
  ];
}

/**
 * Opens Dask's plots as tabs: by dask-labextension's commands where they are, else by our own.
 *
 * Notebook 7 has no place beside the notebook: there they are tabs of the browser.
 */
export class Dashboards {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _shell: ILabShell | null
  ) {}

  /** Whether dask-labextension shows the plots, which arranges and restores them. */
  get byDask(): boolean {
    const { commands } = this._app;
    return commands.hasCommand(POPULATE) && commands.hasCommand(LAUNCH);
  }

  /** Open a plot of a cluster that has a dashboard. */
  async open(cluster: ICluster, plot: IPlot): Promise<void> {
    if (!this.byDask) {
      this._frame(cluster, plot);
      return;
    }
    const { commands } = this._app;
    await commands.execute(POPULATE, { url: cluster.dashboard });
    await commands.execute(LAUNCH, {
      item: { route: `/${plot.route}`, label: plot.label },
      options: { ...this._beside(DASKS) }
    });
  }

  private _frame(cluster: ICluster, plot: IPlot): void {
    const url = URLExt.join(
      PageConfig.getBaseUrl(),
      cluster.dashboard,
      plot.route
    );
    const shell = this._shell;
    if (!shell) {
      window.open(url, '_blank', 'noopener');
      return;
    }
    const id = `${PREFIX}${cluster.id}-${plot.route}`;
    if ([...shell.widgets('main')].some(widget => widget.id === id)) {
      shell.activateById(id);
      return;
    }
    const content = new IFrame({
      sandbox: ['allow-scripts', 'allow-same-origin']
    });
    content.url = url;
    const widget = new MainAreaWidget({ content });
    widget.id = id;
    widget.title.label = `${plot.label}: ${cluster.id}`;
    widget.title.icon = scaleIcon;
    widget.title.closable = true;
    shell.add(widget, 'main', this._beside(PREFIX));
    shell.activateById(id);
  }

  /** Where a plot goes: to those that are open, or else to the right of what is in front. */
  private _beside(prefix: string): DocumentRegistry.IOpenOptions {
    const ref = [...this._app.shell.widgets('main')]
      .map(widget => widget.id)
      .filter(id => id.startsWith(prefix))
      .at(-1);
    return ref ? { mode: 'tab-after', ref } : { mode: 'split-right' };
  }
}
