import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IContext } from './context';
import { Exported } from './exported';
import type { ExportForm, Part } from './exportform';
import { useAction, useSignals } from './hooks';
import {
  complaint,
  kernelOf,
  nameOf,
  putExport,
  run as runCells
} from './notebooks';
import { NotReady } from './notready';
import { Answer, Button, CodeField, Hint, Tick } from './parts';
import type { IExport } from './states';

/** Make the notebook in front a repository that anybody can run. */
export function ExportSection({ context }: { context: IContext }): JSX.Element {
  const { exportForms, exports, notebooks, trans } = context;
  useSignals(notebooks.changed, exports.changed);
  const panel = notebooks.current;
  const kernel = kernelOf(panel);
  if (!panel || !kernel) {
    return (
      <NotReady panel={panel} trans={trans}>
        {trans.__(
          'Open a notebook and run it: an export makes it a repository that anybody can run.'
        )}
      </NotReady>
    );
  }
  if (exports.error) {
    return <Hint isError>{exports.error}</Hint>;
  }
  return (
    <Filled
      key={kernel}
      context={context}
      form={exportForms.of(kernel, nameOf(panel))}
      panel={panel}
      found={exports.of(kernel)}
    />
  );
}

interface IFilled {
  context: IContext;
  form: ExportForm;
  panel: NotebookPanel;
  found: IExport | undefined;
}

function Filled({ context, form, panel, found }: IFilled): JSX.Element {
  const { exports, trans } = context;
  useSignals(form.changed);
  const [answer, , act] = useAction();
  React.useEffect(() => found && form.take(found.options), [found?.id]);
  const isRunning = found?.status === 'running';
  const isBusy = isRunning || form.isWaiting;
  const start = (isPlan: boolean): void =>
    act(async () => {
      const problem = said(form, trans);
      if (problem) {
        throw new Error(problem);
      }
      await form.during(() => exported(context, panel, form.line(isPlan)));
    });
  const cancel = async (): Promise<void> =>
    panel.sessionContext.session?.kernel?.interrupt();
  const submit = (event: React.FormEvent): void => {
    event.preventDefault();
    start(false);
  };
  return (
    <>
      <form
        className="jps-Form"
        aria-label={trans.__('Export')}
        onSubmit={submit}
      >
        {!found && (
          <Hint>
            {trans.__(
              'Writes %1 to a folder with all that it takes to run it elsewhere, and runs it there. A cell at its end does it.',
              nameOf(panel)
            )}
          </Hint>
        )}
        <CodeField
          label={trans.__('Folder')}
          isWide
          value={form.wanted.folder}
          onChange={folder => form.set({ folder })}
        />
        <Options form={form} trans={trans} />
        <div className="jps-Row">
          <Button
            disabled={isBusy}
            label={trans.__('Plan: see what would be written; nothing is')}
            onClick={() => start(true)}
          >
            {trans.__('Plan')}
          </Button>
          <button
            type="submit"
            className="jps-Button jps-mod-main"
            disabled={isBusy}
            title={trans.__('Save %1, export and verify it', nameOf(panel))}
          >
            {trans.__('Export')}
          </button>
          {isRunning && (
            <Button
              kind="danger"
              label={trans.__(
                'Cancel: interrupts the kernel; nothing is written'
              )}
              onClick={() => act(cancel)}
            >
              {trans.__('Cancel')}
            </Button>
          )}
        </div>
      </form>
      <p className="jps-Answer" role="status">
        {progress(found, form, trans)}
      </p>
      <Answer answer={answer} />
      {found && (
        <Exported
          context={context}
          form={form}
          path={panel.context.path}
          found={found}
          dismiss={() => act(() => exports.dismiss(found.id))}
        />
      )}
    </>
  );
}

/** What it is to have besides, and what is said of it in advance. */
function Options(props: {
  form: ExportForm;
  trans: TranslationBundle;
}): JSX.Element {
  const { form, trans } = props;
  const { wanted } = form;
  const parts: [Part, string, string?][] = [
    ['thebe', trans.__('Web page'), trans.__('with live cells')],
    ['docker', trans.__('Dockerfile')],
    ['kubernetes', trans.__('Kubernetes'), trans.__('a Dask cluster')],
    ['git', trans.__('Commit'), trans.__('here only')],
    [
      'wheels',
      trans.__('Wheels'),
      trans.__('publish the code of packages that only this machine has')
    ]
  ];
  return (
    <details className="jps-Details">
      <summary>{trans.__('Options')}</summary>
      <Tick
        label={trans.__('Verify')}
        note={trans.__(
          'build its environment anew, run it there, compare the outputs'
        )}
        checked={wanted.verify}
        onChange={verify => form.set({ verify })}
      />
      {parts.map(([part, label, note]) => (
        <Tick
          key={part}
          label={label}
          note={note}
          checked={wanted[part]}
          onChange={checked => form.set({ [part]: checked })}
        />
      ))}
      <CodeField
        label={trans.__('Its repository, for a Binder badge')}
        placeholder="https://github.com/OWNER/NAME"
        value={wanted.binder}
        onChange={binder => form.set({ binder })}
      />
      <CodeField
        label={trans.__('Other flags')}
        placeholder="--source data/x.csv=https://…"
        value={wanted.others}
        onChange={others => form.set({ others })}
      />
    </details>
  );
}

/** Put the line into its cell, save the notebook, and run the cell; fails as that does. */
async function exported(
  { exports, trans }: IContext,
  panel: NotebookPanel,
  line: string
): Promise<void> {
  const before = exports.of(kernelOf(panel))?.id;
  const cell = putExport(panel, line);
  if (!cell) {
    throw new Error(
      trans.__('The notebook cannot be changed: make a copy of it.')
    );
  }
  await panel.context.save();
  await runCells(panel, [cell]);
  await exports.read();
  const wrong = complaint(cell);
  // what an export says itself is shown with it
  if (wrong && exports.of(kernelOf(panel))?.id === before) {
    throw new Error(remedied(wrong, trans));
  }
}

function remedied(text: string, trans: TranslationBundle): string {
  if (text.includes('`%scale` not found')) {
    return trans.__(
      'Run the cell with %1 first, then export again.',
      '%load_ext jupyter_scale'
    );
  }
  return text.startsWith('ModuleNotFoundError')
    ? trans.__(
        'The kernel’s Python has no jupyter_scale: run %1 in a cell, and export again.',
        '%pip install "jupyter-scale[export]"'
      )
    : text.replace(/^UsageError: /, '');
}

function said(form: ExportForm, trans: TranslationBundle): string {
  switch (form.problem) {
    case 'no folder':
      return trans.__('Name a folder that it is to be written to.');
    case 'not plain':
      return trans.__(
        'A cell reads { } and $ as variables: write folder, address and flags without them.'
      );
    case '':
      return '';
  }
}

function progress(
  found: IExport | undefined,
  form: ExportForm,
  trans: TranslationBundle
): string {
  if (found?.status === 'running') {
    const last = found.claims.at(-1);
    return [last && `${last.name}: ${last.status}`, found.stage || '…']
      .filter(Boolean)
      .join(' · ');
  }
  return form.isWaiting
    ? trans.__('Waiting for the kernel, which may be busy with another cell…')
    : '';
}
