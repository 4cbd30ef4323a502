import type { NotebookPanel } from '@jupyterlab/notebook';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IContext } from './context';
import { useSignals } from './hooks';
import { scaleIcon } from './icon';
import { kernelOf } from './notebooks';
import { alive } from './states';
import { MAGIC, place } from './words';

/** In a notebook's toolbar: the cluster that its next %%scale uses. */
export class Badge extends ReactWidget {
  constructor(
    private readonly _panel: NotebookPanel,
    private readonly _context: IContext,
    private readonly _open: () => void
  ) {
    super();
    this.addClass('jps-Badge');
  }

  protected render(): JSX.Element {
    return (
      <Shown panel={this._panel} context={this._context} open={this._open} />
    );
  }
}

interface IBadge {
  panel: NotebookPanel;
  context: IContext;
  open: () => void;
}

function Shown({ panel, context, open }: IBadge): JSX.Element {
  const { choices, clusters, notebooks, searches, trans } = context;
  useSignals(
    choices.changed,
    clusters.changed,
    notebooks.changed,
    searches.changed
  );
  const kernel = kernelOf(panel);
  const running = searches.items.find(
    search => search.kernel === kernel && alive(search.status)
  );
  const chosen = kernel ? choices.of(kernel) : '';
  const name = running ? place(running) : chosen;
  const gone = !running && name !== '' && !usable(name, context);
  const says = running
    ? trans.__('A search runs on %1. Open the Scale panel', name)
    : gone
      ? trans.__('%1 has ended: pick another cluster in the Scale panel', name)
      : name
        ? trans.__(
            'The next %1 here runs on %2. Open the Scale panel',
            MAGIC,
            name
          )
        : trans.__(
            'No cluster is picked here: open the Scale panel to pick one'
          );
  return (
    <button
      type="button"
      className="jps-Badge-button"
      data-state={running ? 'busy' : gone ? 'gone' : name ? 'chosen' : 'none'}
      aria-label={says}
      title={says}
      onClick={open}
    >
      <scaleIcon.react tag="span" elementSize="normal" />
      <span className="jps-Badge-name">{name || trans.__('no cluster')}</span>
    </button>
  );
}

function usable(id: string, { clusters }: IContext): boolean {
  const state = clusters.get(id)?.state;
  return !clusters.ready || state === 'running' || state === 'starting';
}
