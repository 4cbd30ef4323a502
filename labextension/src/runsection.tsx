import * as React from 'react';

import type { IContext } from './context';
import { useAction, useSignals } from './hooks';
import { insertMagic, nameOf, run as runCells } from './notebooks';
import { Answer, Button, Field, Hint } from './parts';
import { MOST, resumable } from './runs';
import type { IRun } from './states';
import { MAGIC, moment, score, status } from './words';

/** Open all that is on record of a run. */
export function openRun(context: IContext, id: string): Promise<string> {
  const title = context.trans.__('Run %1', id);
  return opened(context, title, `%scale show ${id}`, id);
}

/** Open a run, or what differs between two: in a tab, or in a cell where there is no place. */
async function opened(
  context: IContext,
  title: string,
  line: string,
  ...ids: readonly string[]
): Promise<string> {
  if (!context.views) {
    return ran(context, line);
  }
  const html = await context.runs.page(...ids);
  await context.views.page(ids.join('-'), title, html);
  return '';
}

/** Insert a cell into the notebook in front, and run it; returns what was done. */
function ran({ notebooks, trans }: IContext, line: string): string {
  const panel = notebooks.current;
  if (!panel) {
    throw new Error(trans.__('Open a notebook first: a cell is put there.'));
  }
  // the cell shows what is wrong
  void runCells(panel, insertMagic(panel, line)).catch(() => undefined);
  return trans.__('The cell is in %1.', nameOf(panel));
}

/** The searches on record. */
export function RunSection({ context }: { context: IContext }): JSX.Element {
  const { notebooks, runs, trans } = context;
  useSignals(runs.changed, notebooks.changed);
  const [answer, busy, act] = useAction();
  if (!runs.ready) {
    return runs.error ? (
      <>
        <Hint isError>{runs.error}</Hint>
        <div className="jps-Row">
          <Again context={context} />
        </div>
      </>
    ) : (
      <Hint>{trans.__('Asking the server…')}</Hint>
    );
  }
  const { all, items, picked } = runs;
  if (all.length === 0) {
    return (
      <>
        {runs.error && <Hint isError>{runs.error}</Hint>}
        <Hint>
          {trans.__(
            'No run is on record yet. Begin a cell that fits a scikit-learn search with %1: it is kept here, to be opened, compared and resumed.',
            MAGIC
          )}
        </Hint>
        <div className="jps-Row">
          <Again context={context} />
        </div>
      </>
    );
  }
  const compare = (): Promise<string> => {
    const title = trans.__('Runs %1 and %2', ...picked);
    const line = `%scale diff ${picked.join(' ')}`;
    return opened(context, title, line, ...picked);
  };
  return (
    <>
      {runs.error && <Hint isError>{runs.error}</Hint>}
      <Field label={trans.__('Filter')} isWide>
        {control => (
          <input
            {...control}
            type="search"
            className="jps-Input"
            placeholder={trans.__('tag, notebook, search, status')}
            value={runs.filter}
            onChange={event => (runs.filter = event.target.value)}
          />
        )}
      </Field>
      <div className="jps-Row">
        <Button
          disabled={busy || picked.length < 2}
          label={
            picked.length < 2
              ? trans.__('Compare two runs: pick them below')
              : trans.__('Compare %1 with %2', ...picked)
          }
          onClick={() => act(compare)}
        >
          {trans.__('Compare (%1 of 2)', picked.length)}
        </Button>
        <Again context={context} />
      </div>
      <Answer answer={answer} />
      <p className="jps-Words" role="status">
        {said(context, all.length, items.length)}
      </p>
      <ul className="jps-List" aria-label={trans.__('Runs')}>
        {items.map(run => (
          <li key={run.id} className="jps-Card" data-run={run.id}>
            <Run context={context} run={run} />
          </li>
        ))}
      </ul>
    </>
  );
}

/** How many there are, where that is not seen. */
function said({ runs, trans }: IContext, all: number, found: number): string {
  if (runs.filter.trim()) {
    return trans.__('%1 of %2 runs', found, all);
  }
  return all < MOST
    ? ''
    : trans.__(
        'The latest %1. In a cell, %2 lists all.',
        all,
        '%scale runs --all'
      );
}

function Again({ context: { runs, trans } }: { context: IContext }) {
  return (
    <Button
      label={trans.__('Read the record again')}
      onClick={() => void runs.read()}
    >
      {trans.__('Look again')}
    </Button>
  );
}

interface ICard {
  context: IContext;
  run: IRun;
}

function Run({ context, run }: ICard): JSX.Element {
  const { notebooks, runs, trans } = context;
  const [answer, busy, act] = useAction();
  const panel = notebooks.current;
  const line = `%scale resume ${run.id}`;
  return (
    <>
      <div className="jps-Head">
        <strong className="jps-Name">{run.name || trans.__('Search')}</strong>
        <span className="jps-State" data-state={run.status}>
          {status(run, trans)}
        </span>
      </div>
      <p className="jps-Words">
        {run.best !== null && (
          <>
            {trans.__('best: %1', score(run.best))}
            {' · '}
          </>
        )}
        <time dateTime={new Date(run.started * 1000).toISOString()}>
          {moment(run.started)}
        </time>
      </p>
      <p className="jps-Words">
        <span className="jps-Parameters">{run.id}</span>
        {run.notebook && ` · ${run.notebook}`}
      </p>
      {run.tags.length > 0 && (
        <ul className="jps-Tags" aria-label={trans.__('Tags')}>
          {run.tags.map(tag => (
            <li key={tag} className="jps-Tag">
              {tag}
            </li>
          ))}
        </ul>
      )}
      <div className="jps-Row">
        <Button
          disabled={busy}
          label={trans.__('Open run %1', run.id)}
          onClick={() => act(() => openRun(context, run.id))}
        >
          {trans.__('Open')}
        </Button>
        <Button
          pressed={runs.picked.includes(run.id)}
          label={trans.__('Pick run %1, to compare it', run.id)}
          onClick={() => runs.pick(run.id)}
        >
          {trans.__('Pick')}
        </Button>
        {resumable(run) && (
          <Button
            disabled={busy}
            label={
              panel
                ? trans.__(
                    'Resume run %1: insert and run %2 in %3',
                    run.id,
                    line,
                    nameOf(panel)
                  )
                : trans.__('Resume run %1 in a notebook', run.id)
            }
            onClick={() => act(async () => ran(context, line))}
          >
            {trans.__('Resume')}
          </Button>
        )}
      </div>
      <Answer answer={answer} />
    </>
  );
}
