import type { TranslationBundle } from '@jupyterlab/translation';

import type { Choices } from './choices';
import type { Clusters } from './clusters';
import type { Dashboards } from './dashboards';
import type { Forms } from './form';
import type { Notebooks } from './notebooks';
import type { Searches } from './searches';

/** What the panel's sections show, and act upon. */
export interface IContext {
  readonly choices: Choices;
  readonly clusters: Clusters;
  readonly dashboards: Dashboards;
  readonly forms: Forms;
  readonly notebooks: Notebooks;
  readonly searches: Searches;
  readonly trans: TranslationBundle;
  /** Open a notebook, and go to a cell of it. */
  readonly goToCell: (path: string, cell: string) => Promise<void>;
}
