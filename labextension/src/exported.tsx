import { Clipboard } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IContext } from './context';
import type { ExportForm } from './exportform';
import { useAction } from './hooks';
import { Answer, Button, Hint, Tick } from './parts';
import type { IClaim, IExport, IExportReport, IFinding } from './states';

interface IExported {
  context: IContext;
  form: ExportForm;
  /** The notebook's. */
  path: string;
  found: IExport;
  dismiss: () => void;
}

/** What has come of an export so far: findings, claims, packages, files, and where they are. */
export function Exported(props: IExported): JSX.Element {
  const { context, form, path, found, dismiss } = props;
  const { trans } = context;
  const { report } = found;
  return (
    <section className="jps-Card" aria-label={trans.__('Result')}>
      <div className="jps-Head">
        <strong className="jps-Name">{found.options.folder}</strong>
        <span className="jps-State" data-state={found.status}>
          {status(found, trans)}
        </span>
      </div>
      {found.error && <Hint isError>{found.error}</Hint>}
      {report && (
        <Findings {...{ context, form, path, status: found.status }}>
          {report.findings}
        </Findings>
      )}
      <Claims trans={trans} verdict={report?.verdict ?? ''}>
        {report ? report.claims : found.claims}
      </Claims>
      {report && (
        <>
          <Packages trans={trans} report={report} />
          <Written trans={trans} report={report} />
          {report.notes.map(note => (
            <p key={note} className="jps-Words">
              {note}
            </p>
          ))}
          {found.status === 'exported' && (
            <Links {...{ context, found, report }} />
          )}
        </>
      )}
      {found.status !== 'running' && (
        <div className="jps-Row">
          <Button
            label={trans.__('Dismiss this; what was written stays')}
            onClick={dismiss}
          >
            {trans.__('Dismiss')}
          </Button>
        </div>
      )}
    </section>
  );
}

function status(found: IExport, trans: TranslationBundle): string {
  switch (found.status) {
    case 'running':
      return found.options.plan
        ? trans.__('being planned')
        : trans.__('being exported');
    case 'planned':
      return trans.__('planned, nothing written');
    case 'blocked':
      return trans.__('to be answered, nothing written');
    case 'exported':
      return trans.__('exported');
    case 'failed':
      return trans.__('failed, nothing written');
    case 'interrupted':
      return trans.__('interrupted, nothing written');
  }
}

interface IFindings {
  context: IContext;
  form: ExportForm;
  path: string;
  status: IExport['status'];
  children: readonly IFinding[];
}

function Findings(props: IFindings): JSX.Element | null {
  const { context, form, path, children: findings } = props;
  const { trans } = context;
  if (findings.length === 0) {
    return (
      <p className="jps-Words">
        {trans.__('Nothing is in the way of running it elsewhere.')}
      </p>
    );
  }
  const left = findings.filter(one => one.open && !form.accepts(one));
  const order = (one: IFinding): number =>
    Number(!one.open) * 2 + Number(one.level === 'warning');
  return (
    <>
      <h3 className="jps-Group">{trans.__('Findings')}</h3>
      {props.status !== 'exported' && (
        <p className="jps-Words" role="status">
          {left.length
            ? trans._n(
                '%1 is to be mended or accepted before it is exported.',
                '%1 are to be mended or accepted before it is exported.',
                left.length
              )
            : trans.__('All are answered: export it now.')}
        </p>
      )}
      {findings.some(one => one.level === 'warning') && (
        <Tick
          label={trans.__('Accept all warnings')}
          checked={form.wanted.yes}
          onChange={yes => form.set({ yes })}
        />
      )}
      <ul className="jps-List" aria-label={trans.__('Findings')}>
        {[...findings]
          .sort((a, b) => order(a) - order(b))
          .map(one => (
            <li key={one.id} className="jps-Finding" data-finding={one.id}>
              <Finding context={context} form={form} path={path} found={one} />
            </li>
          ))}
      </ul>
    </>
  );
}

interface IOne {
  context: IContext;
  form: ExportForm;
  path: string;
  found: IFinding;
}

function Finding({ context, form, path, found }: IOne): JSX.Element {
  const { trans } = context;
  const [answer, , act] = useAction();
  const { id, level, where, cell, file } = found;
  const isAccepted = form.accepts(found);
  const isFixed = level === 'warning' && form.wanted.yes; // all are
  const show = (): Promise<void> =>
    cell
      ? context.goToCell(path, cell)
      : context.files.open(file ?? /* no button then */ path);
  return (
    <>
      <div className="jps-Head">
        <span className="jps-Name">
          <strong>{where}</strong>: {found.what}
        </span>
        <span className="jps-State" data-state={isAccepted ? '' : level}>
          {isAccepted
            ? trans.__('accepted')
            : level === 'blocker'
              ? trans.__('blocker')
              : trans.__('warning')}
        </span>
      </div>
      <p className="jps-Words">{found.remedy}</p>
      <div className="jps-Row">
        {(cell || file !== null) && (
          <Button
            label={trans.__('Show me %1', where)}
            onClick={() => act(show)}
          >
            {trans.__('Show me')}
          </Button>
        )}
        {(level === 'warning' || found.answer) && (
          <Button
            pressed={isAccepted}
            disabled={isFixed}
            label={
              found.answer
                ? trans.__('Accept %1, as %2', id, found.answer)
                : trans.__('Accept %1', id)
            }
            onClick={() => form.accept(id, !isAccepted)}
          >
            {found.answer
              ? trans.__('Accept: %1', found.answer)
              : trans.__('Accept')}
          </Button>
        )}
      </div>
      <Answer answer={answer} />
    </>
  );
}

interface IClaims {
  trans: TranslationBundle;
  verdict: string;
  children: readonly IClaim[];
}

function Claims({ trans, verdict, children }: IClaims): JSX.Element | null {
  return children.length === 0 ? null : (
    <>
      <h3 className="jps-Group">{trans.__('Verification')}</h3>
      <ul className="jps-List" aria-label={trans.__('Verification')}>
        {children.map(({ name, status, details }) => (
          <li key={name} data-claim={status}>
            <div className="jps-Head">
              <span className="jps-Name">{name}</span>
              <span className="jps-State" data-state={status}>
                {claimed(status, trans)}
              </span>
            </div>
            {details.map(line => (
              <p key={line} className="jps-Words">
                {line}
              </p>
            ))}
          </li>
        ))}
      </ul>
      {verdict && (
        <p role="status">
          <strong>{verdict}</strong>
        </p>
      )}
    </>
  );
}

function claimed(status: IClaim['status'], trans: TranslationBundle): string {
  switch (status) {
    case 'verified':
      return trans.__('verified');
    case 'not verified':
      return trans.__('not verified');
    case 'failed':
      return trans.__('failed');
  }
}

interface IReport {
  trans: TranslationBundle;
  report: IExportReport;
}

/** The packages that are used, and why. */
function Packages({ trans, report }: IReport): JSX.Element {
  const { python, pinned, roots } = report;
  return (
    <details className="jps-Details">
      <summary>
        {[
          trans._n('%1 package', '%1 packages', pinned),
          trans.__('Python %1', python)
        ].join(', ')}
      </summary>
      <ul className="jps-Failures" aria-label={trans.__('Packages')}>
        {roots.map(({ name, version, reasons }) => (
          <li key={name}>
            <strong>
              {name} {version}
            </strong>
            {': '}
            {reasons.join('; ')}
          </li>
        ))}
      </ul>
    </details>
  );
}

/** The files. */
function Written({ trans, report }: IReport): JSX.Element {
  const kinds = {
    new: trans.__('new'),
    changed: trans.__('changed'),
    same: trans.__('as it was'),
    removed: trans.__('removed'),
    foreign: trans.__('in the way')
  };
  return (
    <details className="jps-Details">
      <summary>
        {trans._n('%1 file', '%1 files', report.changes.length)}
      </summary>
      <ul className="jps-Failures" aria-label={trans.__('Files')}>
        {report.changes.map(({ path, kind }) => (
          <li key={path}>
            <span className="jps-Parameters">{path}</span>, {kinds[kind]}
          </li>
        ))}
      </ul>
    </details>
  );
}

interface ILinks {
  context: IContext;
  found: IExport;
  report: IExportReport;
}

/** Where it is, and what is left to do. */
function Links({ context, found, report }: ILinks): JSX.Element {
  const { files, trans } = context;
  const [answer, , act] = useAction();
  const { folder, path } = found;
  const inside = (name: string): string => (path ? `${path}/${name}` : name);
  const documents: [string, string][] = [
    ['README.md', trans.__('README')],
    ['provenance/report.json', trans.__('Report')]
  ];
  return (
    <>
      {path === null ? (
        <p className="jps-Words">
          {trans.__('It is in %1, which this server does not show.', folder)}
        </p>
      ) : (
        <div className="jps-Row">
          <Button
            kind="main"
            label={trans.__('Open folder %1', path || '/')}
            onClick={() => act(() => files.show(path))}
          >
            {trans.__('Open folder')}
          </Button>
          {documents
            .filter(([name]) => report.changes.some(one => one.path === name))
            .map(([name, label]) => (
              <Button
                key={name}
                label={trans.__('Open %1', inside(name))}
                onClick={() => act(() => files.open(inside(name)))}
              >
                {label}
              </Button>
            ))}
        </div>
      )}
      {report.badge ? (
        <div className="jps-Row">
          <code className="jps-Code">{report.badge}</code>
          <Button
            label={trans.__('Copy the Binder badge')}
            onClick={() =>
              act(async () => {
                Clipboard.copyToSystem(report.badge);
                return trans.__('Copied.');
              })
            }
          >
            {trans.__('Copy badge')}
          </Button>
        </div>
      ) : (
        found.options.binder && (
          <p className="jps-Words">
            {trans.__(
              'The Binder badge names a commit: it is here after the next export, once this is committed.'
            )}
          </p>
        )
      )}
      {report.next.length > 0 && (
        <details className="jps-Details">
          <summary>{trans.__('What is left to do')}</summary>
          <pre className="jps-Code">{report.next.join('\n')}</pre>
        </details>
      )}
      <Answer answer={answer} />
    </>
  );
}
