import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IContext } from './context';
import type { Form, IFound } from './form';
import { Grid } from './gridfield';
import { useAction, useSignals } from './hooks';
import type { KernelError } from './kernel';
import { kernelOf, nameOf } from './notebooks';
import { NotReady } from './notready';
import {
  Answer,
  Button,
  Hint,
  NumberField,
  SelectField,
  Warning
} from './parts';
import { Planned } from './planned';
import { warning } from './words';

/** Fill in a search of the notebook in front, see its size, and put its cell there. */
export function NewSearchSection({
  context
}: {
  context: IContext;
}): JSX.Element {
  const { forms, notebooks, trans } = context;
  useSignals(notebooks.changed);
  const panel = notebooks.current;
  const kernel = kernelOf(panel);
  if (!panel || !kernel) {
    return (
      <NotReady panel={panel} trans={trans}>
        {trans.__('Open a notebook: a search is filled in from what it has.')}
      </NotReady>
    );
  }
  return (
    <Filled
      key={kernel}
      context={context}
      form={forms.of(kernel)}
      panel={panel}
    />
  );
}

interface IForm {
  context: IContext;
  form: Form;
  panel: NotebookPanel;
}

function Filled({ context, form, panel }: IForm): JSX.Element {
  const { trans } = context;
  useSignals(form.changed);
  const { found, trouble, waiting } = form;
  const connection = panel.sessionContext.session?.kernel;
  return (
    <>
      {!found && (
        <Hint>
          {trans.__(
            'Estimators and data of %1 are looked up in its kernel when you ask. Nothing is fitted.',
            nameOf(panel)
          )}
        </Hint>
      )}
      <div className="jps-Row">
        <Button
          kind={found ? undefined : 'main'}
          disabled={waiting !== ''}
          label={trans.__('Look in this notebook, %1', nameOf(panel))}
          onClick={() => void form.look(connection)}
        >
          {found ? trans.__('Look again') : trans.__('Look in this notebook')}
        </Button>
      </div>
      <p className="jps-Answer" role="status">
        {waits(form, trans)}
      </p>
      {trouble && <Hint isError>{says(trouble, trans)}</Hint>}
      {found && <Fields {...{ context, form, panel, found }} />}
    </>
  );
}

function waits(form: Form, trans: TranslationBundle): string {
  if (form.waiting === '') {
    return '';
  }
  if (form.isBusy) {
    return trans.__(
      'The kernel is busy: it answers when its cell has ended, or is interrupted.'
    );
  }
  return form.waiting === 'plan'
    ? trans.__('Planning…')
    : trans.__('Asking the kernel…');
}

function says(trouble: KernelError, trans: TranslationBundle): string {
  switch (trouble.reason) {
    case 'none':
      return trans.__(
        'The notebook has no kernel: start one with Kernel, Change Kernel…'
      );
    case 'dead':
      return trans.__(
        'The kernel is dead: restart it, run the cells that make estimator and data, and look again.'
      );
    case 'gone':
      return trans.__(
        'The kernel ended or was restarted before it answered: run the cells that make estimator and data, and look again.'
      );
    case 'skipped':
      return trans.__(
        'A cell failed or was interrupted while this waited: ask again.'
      );
    case 'missing':
      return trans.__(
        'The kernel’s Python has no jupyter_scale: run "%pip install jupyter-scale" in a cell, and look again.'
      );
    case 'foreign':
      return trans.__(
        'This kernel does not answer in Python: open a notebook of Python’s.'
      );
    case 'failed':
      return trans.__(
        'The kernel answers %1. Run the notebook’s cells, and look again.',
        trouble.message
      );
  }
}

interface IFields extends IForm {
  found: IFound;
}

function Fields({ context, form, panel, found }: IFields): JSX.Element {
  const { trans } = context;
  const { asked, plan, problems, waiting } = form;
  const [answers, setAnswers] = React.useState(0);
  const node = React.useRef<HTMLFormElement>(null);
  React.useEffect(() => {
    if (answers > 0) {
      node.current?.querySelector<HTMLElement>('[aria-invalid]')?.focus();
    }
  }, [answers]);
  if (found.estimators.length === 0 || found.data.length === 0) {
    return (
      <Hint>
        {found.estimators.length === 0
          ? trans.__(
              'No estimator is there: run a cell that makes one, such as pipe = make_pipeline(…), and look again.'
            )
          : trans.__(
              'No data are there: run a cell that reads them into an array or a data frame, and look again.'
            )}
      </Hint>
    );
  }
  const data = found.data.map(
    ({ name, words }) => [name, `${name} (${words})`] as const
  );
  const submit = (event: React.FormEvent): void => {
    event.preventDefault();
    void form
      .propose(panel.sessionContext.session?.kernel)
      .then(() => setAnswers(answers + 1));
  };
  return (
    <form
      ref={node}
      className="jps-Form"
      aria-label={trans.__('New search')}
      onSubmit={submit}
    >
      <SelectField
        label={trans.__('Estimator')}
        isWide
        value={asked.estimator}
        options={found.estimators.map(({ name, kind }) => [
          name,
          `${name} (${kind})`
        ])}
        problem={problems['estimator']}
        onChange={estimator => form.set({ estimator })}
      />
      <SelectField
        label={trans.__('X')}
        isWide
        value={asked.X}
        options={data}
        problem={problems['X']}
        onChange={X => form.set({ X })}
      />
      <SelectField
        label={trans.__('y')}
        isWide
        value={asked.y}
        options={[['', trans.__('none')], ...data]}
        problem={problems['y']}
        onChange={y => form.set({ y })}
      />
      <Grid context={context} form={form} />
      <NumberField
        label={trans.__('CV folds')}
        isWide
        value={asked.cv}
        least={2}
        problem={problems['cv']}
        onChange={cv => form.set({ cv })}
      />
      <SelectField
        label={trans.__('Scoring')}
        isWide
        value={asked.scoring}
        options={[
          ['', trans.__('the estimator’s own')],
          ...found.scorers.map(name => [name, name] as const)
        ]}
        problem={problems['scoring']}
        onChange={scoring => form.set({ scoring })}
      />
      <Place context={context} kernel={kernelOf(panel)} />
      <div className="jps-Row">
        <button
          type="submit"
          className="jps-Button jps-mod-main"
          disabled={waiting !== ''}
          title={trans.__('Count what the search would fit; nothing is fitted')}
        >
          {trans.__('Plan')}
        </button>
      </div>
      {problems[''] && <Hint isError>{problems['']}</Hint>}
      {plan && <Planned context={context} panel={panel} plan={plan} />}
    </form>
  );
}

/** The cluster that this kernel uses next: the same choice as elsewhere in the panel. */
function Place({
  context,
  kernel
}: {
  context: IContext;
  kernel: string;
}): JSX.Element {
  const { choices, clusters, trans } = context;
  useSignals(choices.changed, clusters.changed);
  const [answer, busy, act] = useAction();
  const { running } = clusters;
  const chosen = choices.of(kernel);
  const cluster = clusters.get(chosen);
  const options: [string, string][] = [
    [
      '',
      running.length
        ? trans.__('any that runs')
        : trans.__('starts a local one')
    ],
    ...running.map(({ id }): [string, string] => [id, id])
  ];
  if (chosen && !running.some(({ id }) => id === chosen)) {
    options.push([
      chosen,
      cluster?.state === 'starting'
        ? trans.__('%1 (starting)', chosen)
        : trans.__('%1 (not running)', chosen)
    ]);
  }
  return (
    <>
      <SelectField
        label={trans.__('Cluster')}
        isWide
        value={chosen}
        options={options}
        disabled={busy}
        onChange={id => act(() => choices.choose(kernel, id))}
      />
      <Warning>{cluster ? warning(cluster, trans) : ''}</Warning>
      <Answer answer={answer} />
    </>
  );
}
