import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { Badge } from './badge';
import { Choices } from './choices';
import { Clusters } from './clusters';
import { addCommands, COMMANDS } from './commands';
import type { IContext } from './context';
import { Dashboards } from './dashboards';
import { ExportForms } from './exportform';
import { Exports } from './exports';
import { Files } from './files';
import { Feed } from './feed';
import { Forms } from './form';
import { goTo, insertMagic, kernelOf, Notebooks, run } from './notebooks';
import { Outputs } from './outputs';
import { Panel } from './panel';
import { Requests } from './requests';
import { Runs } from './runs';
import { Searches } from './searches';
import { IScale } from './tokens';
import { Views } from './views';

const PLUGIN = 'jupyter-scale:panel';
const WATCH = '%scale watch';
const VIEW = 'notebook:create-output-view'; // JupyterLab's, of the active cell

const plugin: JupyterFrontEndPlugin<IScale> = {
  id: PLUGIN,
  description: 'Clusters and searches of jupyter_scale, live in a side panel.',
  autoStart: true,
  provides: IScale,
  requires: [INotebookTracker, IRenderMimeRegistry],
  optional: [
    ITranslator,
    ISettingRegistry,
    ICommandPalette,
    ILauncher,
    ILayoutRestorer,
    IToolbarWidgetRegistry,
    ILabShell
  ],
  activate
};

function activate(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  rendermime: IRenderMimeRegistry,
  translator: ITranslator | null,
  registry: ISettingRegistry | null,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  restorer: ILayoutRestorer | null,
  toolbars: IToolbarWidgetRegistry | null,
  shell: ILabShell | null
): IScale {
  translator ??= nullTranslator;
  const trans = translator.load('jupyter_scale');
  const { serverSettings } = app.serviceManager;
  const requests = new Requests(serverSettings);
  const feed = new Feed(serverSettings);
  const notebooks = new Notebooks(tracker);
  const choices = new Choices(requests, feed);
  const searches = new Searches(requests, feed);
  const context: IContext = {
    choices,
    clusters: new Clusters(requests, feed),
    dashboards: new Dashboards(app, shell),
    exportForms: new ExportForms(),
    exports: new Exports(requests, feed),
    files: new Files(app),
    forms: new Forms(),
    notebooks,
    runs: new Runs(requests, searches),
    searches,
    trans,
    views: shell && new Views(shell, searches, rendermime),
    watch: async cluster => {
      const panel = notebooks.current;
      if (!panel) {
        throw new Error(
          trans.__('Open a notebook first: it is watched there.')
        );
      }
      await choices.choose(kernelOf(panel), cluster);
      app.shell.activateById(panel.id);
      const cells = insertMagic(panel, WATCH);
      if (app.commands.hasCommand(VIEW)) {
        await app.commands.execute(VIEW); // now: another cell may be active after the run
      }
      await run(panel, cells);
    },
    goToCell: async (path, cell) => {
      const open =
        notebooks.at(path) ??
        ((await app.commands.execute('docmanager:open', {
          path
        })) as NotebookPanel);
      await open.revealed;
      app.shell.activateById(open.id);
      if (!goTo(open, cell)) {
        throw new Error(
          trans.__('The cell is not in %1 any more: it was deleted.', path)
        );
      }
    }
  };
  const { clusters } = context;

  const outputs = new Outputs(searches, () => notebooks.cells());
  notebooks.changed.connect(() => outputs.update());
  const configure = (settings: ISettingRegistry.ISettings): void => {
    outputs.isEnabled = settings.composite['outputs'] !== false;
  };
  registry?.load(PLUGIN).then(
    settings => {
      configure(settings);
      settings.changed.connect(configure);
    },
    (reason: unknown) =>
      console.warn('The settings of Scale are not those of its schema', reason)
  );

  const panel = new Panel(context, translator);
  restorer?.add(panel, panel.id);
  app.shell.add(panel, 'left', { rank: 850, type: 'Scale' });

  addCommands(app, context, panel);
  for (const command of Object.values(COMMANDS)) {
    palette?.addItem({
      command,
      category: trans.__('Scale'),
      args: { isPalette: true }
    });
  }
  launcher?.add({
    command: COMMANDS.open,
    category: trans.__('Other'),
    rank: 10
  });
  toolbars?.addFactory<NotebookPanel>('Notebook', 'scale', notebook => {
    const open = (): void => void app.commands.execute(COMMANDS.open);
    return new Badge(notebook, context, open);
  });

  return {
    get clusters() {
      return clusters.items;
    },
    get searches() {
      return searches.items;
    },
    clustersChanged: clusters.changed,
    searchesChanged: searches.changed,
    chosen: kernel => choices.of(kernel)
  };
}

export { IScale } from './tokens';
export type { IAdapt, ICluster, ISearch } from './states';
export default plugin;
