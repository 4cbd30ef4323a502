import { Dialog, showDialog } from '@jupyterlab/apputils';
import * as React from 'react';

import { ended } from './clusters';
import type { IContext } from './context';
import { useAction, useSignals } from './hooks';
import { insert, kernelOf, nameOf } from './notebooks';
import { Answer, Bar, Button, Hint, SelectField, Warning } from './parts';
import type { Size } from './requests';
import { SizeForm } from './size';
import { alive, type ICluster, type IProfile } from './states';
import { bytes, MAGIC, state, warning } from './words';

/** Start clusters; see, use, size and close those that are there. */
export function ClusterSection({
  context
}: {
  context: IContext;
}): JSX.Element {
  const { choices, clusters, notebooks, searches, trans } = context;
  useSignals(
    clusters.changed,
    choices.changed,
    notebooks.changed,
    searches.changed
  );
  if (!clusters.ready) {
    return clusters.error ? (
      <Hint isError>{clusters.error}</Hint>
    ) : (
      <Hint>{trans.__('Asking the server…')}</Hint>
    );
  }
  return (
    <>
      {clusters.error && <Hint isError>{clusters.error}</Hint>}
      {clusters.items.length === 0 && (
        <Hint>
          {trans.__(
            'No cluster is here. Start one below, or run a cell that begins with %1: it starts one on this machine.',
            MAGIC
          )}
        </Hint>
      )}
      <ul className="jps-List" aria-label={trans.__('Clusters')}>
        {clusters.items.map(cluster => (
          <li key={cluster.id} className="jps-Card" data-cluster={cluster.id}>
            {ended(cluster) ? (
              <Ended context={context} cluster={cluster} />
            ) : (
              <Running context={context} cluster={cluster} />
            )}
          </li>
        ))}
      </ul>
      <Start context={context} />
    </>
  );
}

function Start({ context }: { context: IContext }): JSX.Element {
  const { clusters, notebooks, trans } = context;
  const [answer, busy, act] = useAction();
  const [picked, setPicked] = React.useState('');
  const known = clusters.profiles;
  const name = picked || known.default;
  const profile =
    known.profiles.find(one => one.name === name) ?? known.profiles[0];
  if (known.error || !profile) {
    return (
      <Hint isError>
        {known.error || trans.__('The server knows no profile to start.')}
      </Hint>
    );
  }
  const runs = profile.kind.includes('://');
  const start = (size: Size | null): void =>
    act(() =>
      clusters.start(profile.name, size, notebooks.current?.context.path ?? '')
    );
  return (
    <div className="jps-Start">
      <SelectField
        label={trans.__('Profile')}
        isWide
        value={profile.name}
        options={known.profiles.map(one => [one.name, one.name])}
        onChange={setPicked}
      />
      <p className="jps-Words">{about(profile, context)}</p>
      {profile.missing && (
        <Hint isError>
          {trans.__('A package is missing. In a terminal of the server:')}{' '}
          <code>{profile.missing}</code>
        </Hint>
      )}
      {runs ? (
        <Hint>
          {trans.__('It runs already. In a notebook:')}{' '}
          <code>%scale use {profile.name}</code>
        </Hint>
      ) : (
        <SizeForm
          key={profile.name}
          byProfile
          workers={profile.workers}
          adapt={profile.adapt}
          action={trans.__('Start')}
          label={trans.__('Start a cluster: %1', profile.name)}
          kind="main"
          disabled={busy || profile.missing !== ''}
          onSubmit={start}
          trans={trans}
        />
      )}
      <Answer answer={answer} />
    </div>
  );
}

function about(profile: IProfile, { trans }: IContext): string {
  const words = [
    profile.kind,
    profile.size,
    profile.tested ? '' : trans.__('not tested by jupyter_scale')
  ].filter(Boolean);
  return words.join(', ') + (profile.origin && ` (${profile.origin})`);
}

interface ICard {
  context: IContext;
  cluster: ICluster;
}

function Running({ context, cluster }: ICard): JSX.Element {
  const { choices, clusters, notebooks, searches, trans } = context;
  const [answer, busy, act] = useAction();
  const starting = cluster.state === 'starting';
  const panel = notebooks.current;
  const kernel = kernelOf(panel);
  const chosen = kernel !== '' && choices.of(kernel) === cluster.id;
  const running = searches.items.filter(
    search => search.cluster_id === cluster.id && alive(search.status)
  ).length;
  const uses =
    running > 0 &&
    trans._n('%1 search runs on it', '%1 searches run on it', running);
  const close = async (): Promise<void> => {
    const answer = await showDialog({
      title: trans.__('Close %1?', cluster.id),
      body: trans.__(
        'What runs on it ends, and what its workers hold is lost. Other notebooks may use it, too.'
      ),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Keep it') }),
        Dialog.warnButton({ label: trans.__('Close it') })
      ]
    });
    if (answer.button.accept) {
      act(() => clusters.close(cluster.id));
    }
  };
  const code = [
    'from jupyter_scale import clusters',
    '',
    `client = clusters.use("${cluster.id}").client`,
    'client'
  ].join('\n');
  return (
    <>
      <Head context={context} cluster={cluster} />
      {starting ? (
        <p className="jps-Words jps-mod-waiting" role="status">
          {cluster.words || trans.__('starting')}
        </p>
      ) : (
        <Bars context={context} cluster={cluster} />
      )}
      <Warning>{warning(cluster, trans)}</Warning>
      {uses && <p className="jps-Words">{uses}</p>}
      {!starting && (
        <div className="jps-Row">
          <Button
            pressed={chosen}
            disabled={!kernel}
            label={
              panel && kernel
                ? trans.__(
                    'Use in this notebook, %1: its next %2 runs there',
                    nameOf(panel),
                    MAGIC
                  )
                : trans.__('Use in this notebook: open one first')
            }
            onClick={() =>
              act(() => choices.choose(kernel, chosen ? '' : cluster.id))
            }
          >
            {chosen && <span aria-hidden="true">✓ </span>}
            {trans.__('Use in this notebook')}
          </Button>
          <Button
            disabled={!panel}
            label={
              panel
                ? trans.__(
                    'Insert code: a cell that connects plain Dask to %1',
                    cluster.id
                  )
                : trans.__('Insert code: open a notebook first')
            }
            onClick={() => panel && insert(panel, code)}
          >
            {trans.__('Insert code')}
          </Button>
        </div>
      )}
      {cluster.here ? (
        <details className="jps-Details">
          <summary>{trans.__('Size and end')}</summary>
          {!starting && (
            <SizeForm
              key={JSON.stringify([cluster.workers, cluster.adapt])}
              workers={cluster.workers}
              adapt={cluster.adapt}
              action={trans.__('Resize')}
              label={trans.__('Resize %1', cluster.id)}
              disabled={busy}
              onSubmit={size =>
                size && act(() => clusters.resize(cluster.id, size))
              }
              trans={trans}
            />
          )}
          <Button
            kind="danger"
            disabled={busy}
            label={trans.__('Close… %1', cluster.id)}
            onClick={() => void close()}
          >
            {trans.__('Close…')}
          </Button>
        </details>
      ) : (
        <Hint>
          {trans.__('It runs on another machine: size and close it there.')}
        </Hint>
      )}
      <Answer answer={answer} />
    </>
  );
}

function Bars({ context: { trans }, cluster }: ICard): JSX.Element {
  const { adapt, limit, memory, present, threads, workers } = cluster;
  const wanted = adapt?.maximum ?? workers ?? 0;
  const count = adapt
    ? trans.__(
        '%1, adapts from %2 to %3',
        present,
        adapt.minimum,
        adapt.maximum
      )
    : wanted
      ? trans.__('%1 of %2', present, wanted)
      : String(present);
  const used = limit
    ? trans.__('%1 of %2', bytes(memory), bytes(limit))
    : bytes(memory);
  return (
    <>
      <Bar
        label={trans.__('Workers')}
        value={present}
        most={wanted}
        text={`${count}, ${trans._n('%1 thread', '%1 threads', threads)}`}
      />
      <Bar
        label={trans.__('Memory')}
        value={memory}
        most={limit}
        text={used}
        state={limit && memory > 0.8 * limit ? 'warn' : ''}
      />
    </>
  );
}

function Ended({ context, cluster }: ICard): JSX.Element {
  const { clusters, trans } = context;
  const [answer, busy, act] = useAction();
  return (
    <>
      <Head context={context} cluster={cluster} />
      <p
        className={`jps-Words ${cluster.state === 'failed' ? 'jps-mod-error' : ''}`}
      >
        {cluster.words}
      </p>
      <div className="jps-Row">
        <Button
          disabled={busy}
          label={trans.__('Dismiss %1', cluster.id)}
          onClick={() => act(() => clusters.close(cluster.id))}
        >
          {trans.__('Dismiss')}
        </Button>
      </div>
      <Answer answer={answer} />
    </>
  );
}

function Head({ context: { trans }, cluster }: ICard): JSX.Element {
  return (
    <>
      <div className="jps-Head">
        <strong className="jps-Name">{cluster.id}</strong>
        <span className="jps-State" data-state={cluster.state}>
          {state(cluster, trans)}
        </span>
      </div>
      {cluster.notebook && (
        <p className="jps-Words">
          {trans.__('started by %1', cluster.notebook)}
        </p>
      )}
    </>
  );
}
