import * as React from 'react';

import type { IContext } from './context';
import { useAction, useSignals } from './hooks';
import { Answer, Bar, Button, Hint } from './parts';
import { openRun } from './runsection';
import { type Action, alive, type ISearch } from './states';
import { MAGIC, place, score, status, time } from './words';

/** The searches of all kernels, live. */
export function SearchSection({ context }: { context: IContext }): JSX.Element {
  const { notebooks, searches, trans } = context;
  useSignals(searches.changed, notebooks.changed);
  if (!searches.ready) {
    return searches.error ? (
      <Hint isError>{searches.error}</Hint>
    ) : (
      <Hint>{trans.__('Asking the server…')}</Hint>
    );
  }
  if (searches.items.length === 0) {
    return (
      <Hint>
        {trans.__(
          'No search yet. Fill one in above, or begin a cell that fits a scikit-learn search with %1: while it runs, it is shown here.',
          MAGIC
        )}
      </Hint>
    );
  }
  return (
    <>
      {searches.error && <Hint isError>{searches.error}</Hint>}
      {byNotebook(searches.items).map(([notebook, items]) => (
        <section
          key={notebook}
          aria-label={notebook || trans.__('No notebook')}
        >
          <h3 className="jps-Group">{notebook || trans.__('No notebook')}</h3>
          <ul className="jps-List">
            {items.map(search => (
              <li key={search.id} className="jps-Card" data-search={search.id}>
                <Search context={context} search={search} />
              </li>
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}

function byNotebook(items: readonly ISearch[]): [string, ISearch[]][] {
  const groups = new Map<string, ISearch[]>();
  for (const item of items) {
    groups.set(item.notebook, [...(groups.get(item.notebook) ?? []), item]);
  }
  return [...groups];
}

interface ICard {
  context: IContext;
  search: ISearch;
}

function Search({ context, search }: ICard): JSX.Element {
  const { searches, trans } = context;
  const [answer, busy, act] = useAction();
  const live = alive(search.status);
  const ask = (action: Action): void =>
    act(() => searches.act(search.id, action));
  const cells = trans.__('%1 of %2 cells', search.cells_done, search.cells);
  const path =
    context.notebooks.of(search.kernel)?.context.path ?? search.notebook;
  return (
    <>
      <div className="jps-Head">
        <strong className="jps-Name">
          {search.name || trans.__('Search')}
        </strong>
        <span className="jps-State" data-state={search.status}>
          {status(search, trans)}
        </span>
      </div>
      <Bar
        label={trans.__('Done')}
        value={search.cells_done}
        most={search.cells}
        text={cells}
        role="progressbar"
        state={search.status}
      />
      <p className="jps-Words">
        {[
          time(search, trans),
          place(search) && trans.__('on %1', place(search)),
          search.fits_saved > 0 &&
            trans._n('%1 fit saved', '%1 fits saved', search.fits_saved)
        ]
          .filter(Boolean)
          .join(', ')}
      </p>
      {search.best && (
        <p className="jps-Words">
          {trans.__('best: %1', score(search.best.score))}{' '}
          {search.best.parameters && (
            <span className="jps-Parameters">({search.best.parameters})</span>
          )}
        </p>
      )}
      <Failures context={context} search={search} />
      <div className="jps-Row">
        {search.status === 'running' && (
          <Button
            disabled={busy}
            label={trans.__('Pause: what runs ends, nothing new starts')}
            onClick={() => ask('pause')}
          >
            {trans.__('Pause')}
          </Button>
        )}
        {search.status === 'paused' && (
          <Button disabled={busy} onClick={() => ask('resume')}>
            {trans.__('Resume')}
          </Button>
        )}
        {live && (
          <Button
            kind="danger"
            disabled={busy}
            label={trans.__('Stop: what is done stays in the report')}
            onClick={() => ask('stop')}
          >
            {trans.__('Stop')}
          </Button>
        )}
        {path && search.cell && (
          <Button
            label={trans.__('Go to cell in %1', path)}
            onClick={() => act(() => context.goToCell(path, search.cell))}
          >
            {trans.__('Go to cell')}
          </Button>
        )}
        {context.views && (
          <Button
            label={trans.__('Open %1 in a tab', search.name)}
            onClick={() => context.views?.open(search)}
          >
            {trans.__('Open')}
          </Button>
        )}
        {!live && search.run && (
          <Button
            disabled={busy}
            label={trans.__('Record of %1, run %2', search.name, search.run)}
            onClick={() => act(() => openRun(context, search.run))}
          >
            {trans.__('Record')}
          </Button>
        )}
        {!live && (
          <Button
            disabled={busy}
            label={trans.__('Dismiss %1', search.name)}
            onClick={() => act(() => searches.forget(search.id))}
          >
            {trans.__('Dismiss')}
          </Button>
        )}
      </div>
      <Answer answer={answer} />
    </>
  );
}

function Failures({ context: { trans }, search }: ICard): JSX.Element | null {
  if (search.failures.length === 0) {
    return null;
  }
  return (
    <details className="jps-Details jps-mod-error">
      <summary>
        {trans._n('%1 error', '%1 errors', search.failures.length)}
      </summary>
      <ul className="jps-Failures">
        {search.failures.map((failure, i) => (
          <li key={i}>{failure}</li>
        ))}
      </ul>
    </details>
  );
}
