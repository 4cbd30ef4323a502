import type { JupyterFrontEnd } from '@jupyterlab/application';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';

const FOLDER = 'filebrowser:go-to-path';
const MARKDOWN = 'markdownviewer:open';

/** Opens files of the server, by the application's own commands where it has them. */
export class Files {
  constructor(private readonly _app: JupyterFrontEnd) {}

  /** Open a file. */
  async open(path: string): Promise<void> {
    const { commands } = this._app;
    const isText = path.endsWith('.md') && commands.hasCommand(MARKDOWN);
    await commands.execute(isText ? MARKDOWN : 'docmanager:open', { path });
  }

  /** Show a folder. */
  async show(path: string): Promise<void> {
    const { commands } = this._app;
    if (commands.hasCommand(FOLDER)) {
      await commands.execute(FOLDER, { path: `/${path}` });
    } else {
      const folder = URLExt.encodeParts(path);
      const url = URLExt.join(PageConfig.getBaseUrl(), 'tree', folder);
      window.open(url, '_blank', 'noopener');
    }
  }
}
