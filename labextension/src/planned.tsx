import type { NotebookPanel } from '@jupyterlab/notebook';
import * as React from 'react';

import type { IContext } from './context';
import type { IPlan } from './form';
import { useAction } from './hooks';
import { insertMagic, nameOf, run } from './notebooks';
import { Answer, Button } from './parts';

interface IPlanned {
  context: IContext;
  panel: NotebookPanel;
  plan: IPlan;
}

/** How large the search is, and its cell. */
export function Planned({
  context: { trans },
  panel,
  plan
}: IPlanned): JSX.Element {
  const [answer, , act] = useAction();
  const node = React.useRef<HTMLElement>(null);
  React.useEffect(() => {
    node.current?.scrollIntoView({ block: 'nearest' });
  }, [plan]);
  const name = nameOf(panel);
  const add = (andRun: boolean): void =>
    act(async () => {
      const cells = insertMagic(panel, plan.code);
      if (andRun) {
        void run(panel, cells).catch(() => undefined); // the cell shows what is wrong
      }
      return trans.__('The cell is in %1.', name);
    });
  return (
    <section ref={node} className="jps-Card" aria-label={trans.__('Plan')}>
      <p role="status">
        <strong>
          {[
            trans._n('%1 cell', '%1 cells', plan.cells),
            trans._n('%1 fit', '%1 fits', plan.fits),
            trans._n('%1 fit saved', '%1 fits saved', plan.fits_saved)
          ].join(', ')}
        </strong>
      </p>
      <ul className="jps-Failures">
        {plan.notes.map(note => (
          <li key={note}>{note}</li>
        ))}
      </ul>
      <details className="jps-Details">
        <summary>{trans.__('Its cell')}</summary>
        <pre className="jps-Code">{plan.code}</pre>
      </details>
      <div className="jps-Row">
        <Button
          label={trans.__('Insert cell below the active one of %1', name)}
          onClick={() => add(false)}
        >
          {trans.__('Insert cell')}
        </Button>
        <Button
          kind="main"
          label={trans.__('Insert and run in %1', name)}
          onClick={() => add(true)}
        >
          {trans.__('Insert and run')}
        </Button>
      </div>
      <Answer answer={answer} />
    </section>
  );
}
