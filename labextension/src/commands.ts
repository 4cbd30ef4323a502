import type { JupyterFrontEnd } from '@jupyterlab/application';
import { showErrorMessage } from '@jupyterlab/apputils';

import type { IContext } from './context';
import { scaleIcon } from './icon';
import { kernelOf } from './notebooks';
import type { Panel } from './panel';
import { type Action, alive, type ISearch } from './states';

export const COMMANDS = {
  open: 'jupyter-scale:open-panel',
  search: 'jupyter-scale:new-search',
  export: 'jupyter-scale:export',
  start: 'jupyter-scale:start-cluster',
  pause: 'jupyter-scale:pause-search',
  resume: 'jupyter-scale:resume-search',
  stop: 'jupyter-scale:stop-search'
} as const;

/** What can be done from the palette, and by shortcuts. */
export function addCommands(
  app: JupyterFrontEnd,
  context: IContext,
  panel: Panel
): void {
  const { clusters, notebooks, searches, trans } = context;
  const { commands } = app;
  const attempt = async (title: string, action: Promise<void>): Promise<void> =>
    action.catch((error: Error) => showErrorMessage(title, error.message));
  /** The search that runs in the notebook in front. */
  const current = (): ISearch | undefined => {
    const kernel = kernelOf(notebooks.current);
    return searches.items.find(
      search => search.kernel === kernel && alive(search.status)
    );
  };

  commands.addCommand(COMMANDS.open, {
    label: args =>
      args['isPalette']
        ? trans.__('Open the Panel of Clusters and Searches')
        : trans.__('Scale'),
    caption: trans.__('Open the panel of clusters and searches'),
    icon: args => (args['isPalette'] ? undefined : scaleIcon),
    execute: () => app.shell.activateById(panel.id)
  });
  commands.addCommand(COMMANDS.search, {
    label: trans.__('New Search…'),
    caption: trans.__('Fill in a search of the notebook in front'),
    execute: () => {
      app.shell.activateById(panel.id);
      panel.expandNewSearch();
    }
  });
  commands.addCommand(COMMANDS.export, {
    label: trans.__('Export Notebook as a Repository…'),
    caption: trans.__('Make the notebook in front a repository to run'),
    execute: () => {
      app.shell.activateById(panel.id);
      panel.expandExport();
    }
  });
  commands.addCommand(COMMANDS.start, {
    label: trans.__('Start the Default Cluster'),
    caption: trans.__('Start a cluster from the default profile'),
    isEnabled: () => clusters.ready,
    execute: () => {
      app.shell.activateById(panel.id);
      const path = notebooks.current?.context.path ?? '';
      const start = clusters.start(clusters.profiles.default, null, path);
      return attempt(trans.__('No cluster was started'), start);
    }
  });
  const act = (
    command: string,
    action: Action,
    label: string,
    statuses: ISearch['status'][]
  ): void => {
    commands.addCommand(command, {
      label,
      isEnabled: () => statuses.includes(current()?.status ?? 'done'),
      execute: () => {
        const search = current();
        return search && attempt(label, searches.act(search.id, action));
      }
    });
  };
  act(COMMANDS.pause, 'pause', trans.__('Pause the Search of This Notebook'), [
    'running'
  ]);
  act(
    COMMANDS.resume,
    'resume',
    trans.__('Resume the Search of This Notebook'),
    ['paused']
  );
  act(COMMANDS.stop, 'stop', trans.__('Stop the Search of This Notebook'), [
    'running',
    'paused',
    'refitting'
  ]);
  searches.changed.connect(() => commands.notifyCommandChanged());
}
