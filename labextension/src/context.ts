import type { TranslationBundle } from '@jupyterlab/translation';

import type { Choices } from './choices';
import type { Clusters } from './clusters';
import type { Dashboards } from './dashboards';
import type { ExportForms } from './exportform';
import type { Exports } from './exports';
import type { Files } from './files';
import type { Forms } from './form';
import type { Notebooks } from './notebooks';
import type { Runs } from './runs';
import type { Searches } from './searches';
import type { Views } from './views';

/** What the panel's sections show, and act upon. */
export interface IContext {
  readonly choices: Choices;
  readonly clusters: Clusters;
  readonly dashboards: Dashboards;
  readonly exportForms: ExportForms;
  readonly exports: Exports;
  readonly files: Files;
  readonly forms: Forms;
  readonly notebooks: Notebooks;
  readonly runs: Runs;
  readonly searches: Searches;
  readonly trans: TranslationBundle;
  /** Nothing where there is no place beside a notebook. */
  readonly views: Views | null;
  /** Watch a cluster from the notebook in front: in a cell, and where there is place in a tab. */
  readonly watch: (cluster: string) => Promise<void>;
  /** Open a notebook, and go to a cell of it. */
  readonly goToCell: (path: string, cell: string) => Promise<void>;
}
