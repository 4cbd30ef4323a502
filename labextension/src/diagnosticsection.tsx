import * as React from 'react';

import type { IContext } from './context';
import { plots } from './dashboards';
import { useAction, useSignals } from './hooks';
import { kernelOf } from './notebooks';
import { Answer, Button, Hint, SelectField } from './parts';

/** Dask's own plots of a cluster, as tabs. */
export function DiagnosticSection({
  context
}: {
  context: IContext;
}): JSX.Element {
  const { choices, clusters, dashboards, notebooks, trans } = context;
  useSignals(clusters.changed, choices.changed, notebooks.changed);
  const [answer, busy, act] = useAction();
  const [picked, setPicked] = React.useState('');
  const { running } = clusters;
  const chosen = choices.of(kernelOf(notebooks.current));
  const find = (id: string) => running.find(one => one.id === id);
  const cluster = find(picked) ?? find(chosen) ?? running[0];
  if (!cluster) {
    return (
      <Hint>
        {trans.__(
          'No cluster runs. Start one above: Dask’s plots of it open from here.'
        )}
      </Hint>
    );
  }
  return (
    <>
      <SelectField
        label={trans.__('Cluster')}
        isWide
        value={cluster.id}
        options={running.map(one => [one.id, one.id])}
        onChange={setPicked}
      />
      <div className="jps-Row">
        <Button
          disabled={busy || !notebooks.current}
          label={trans.__(
            'Watch %1: insert and run a cell that shows its tasks, workers and logs',
            cluster.id
          )}
          onClick={() => act(() => context.watch(cluster.id))}
        >
          {trans.__('Watch')}
        </Button>
      </div>
      {cluster.dashboard ? (
        <div className="jps-Row" role="group" aria-label={trans.__('Plots')}>
          {plots(trans).map(plot => (
            <Button
              key={plot.route}
              disabled={busy}
              label={trans.__('%1 of %2, in a tab', plot.label, cluster.id)}
              onClick={() => act(() => dashboards.open(cluster, plot))}
            >
              {plot.label}
            </Button>
          ))}
        </div>
      ) : (
        <Hint>
          {trans.__(
            'This server cannot pass on a dashboard of %1: it has none on this machine, or a package is missing. In a terminal of the server:',
            cluster.id
          )}{' '}
          <code>pip install jupyter-server-proxy bokeh</code>.{' '}
          {trans.__('Meanwhile, in a notebook:')} <code>%scale watch</code>
        </Hint>
      )}
      <Answer answer={answer} />
    </>
  );
}
