import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-scale:panel',
  autoStart: true,
  activate: () => undefined
};
export default plugin;
