import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { nameOf } from './notebooks';
import { Hint } from './parts';

interface INotReady {
  /** What a notebook is good for here: shown where none is in front. */
  children: React.ReactNode;
  /** The notebook in front, which then has no kernel. */
  panel: NotebookPanel | null;
  trans: TranslationBundle;
}

/** What a section that works on a notebook lacks: the notebook, or its kernel. */
export function NotReady({ children, panel, trans }: INotReady): JSX.Element {
  return (
    <Hint>
      {panel
        ? trans.__(
            '%1 has no kernel: start one with Kernel, Change Kernel…',
            nameOf(panel)
          )
        : children}
    </Hint>
  );
}
