import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { NumberField, SelectField } from './parts';
import type { Size } from './requests';
import type { IAdapt } from './states';

// workers that a slider reaches at least; nobody says how many a cluster can have
const ENOUGH = 8;

type Kind = 'profile' | 'workers' | 'adapt';

interface ISizeForm {
  /** What it has now. */
  workers: number | null;
  adapt: IAdapt | null;
  /** Whether the size may be left to the profile. */
  byProfile?: boolean;
  /** What the button says, and in full. */
  action: string;
  label: string;
  kind?: 'main';
  disabled?: boolean;
  /** Null leaves the size to the profile. */
  onSubmit: (size: Size | null) => void;
  trans: TranslationBundle;
}

/** A number of workers, or two between which the cluster follows its work. */
export function SizeForm(props: ISizeForm): JSX.Element {
  const { trans } = props;
  const [kind, setKind] = React.useState<Kind>(
    props.byProfile ? 'profile' : props.adapt ? 'adapt' : 'workers'
  );
  const [workers, setWorkers] = React.useState(props.workers ?? 2);
  const [minimum, setMinimum] = React.useState(props.adapt?.minimum ?? 0);
  const [maximum, setMaximum] = React.useState(
    props.adapt?.maximum ?? Math.max(1, props.workers ?? 4)
  );
  const least = props.byProfile ? 1 : 0;
  const most = Math.max(
    ENOUGH,
    2 * (props.workers ?? 0),
    props.adapt?.maximum ?? 0
  );
  const kinds: [Kind, string][] = [
    ['workers', trans.__('fixed')],
    ['adapt', trans.__('adaptive')]
  ];
  if (props.byProfile) {
    kinds.unshift(['profile', trans.__('as the profile says')]);
  }
  const sizes: Record<Kind, Size | null> = {
    profile: null,
    workers: { workers },
    adapt: { adapt: { minimum, maximum } }
  };
  const fits: Record<Kind, boolean> = {
    profile: true,
    workers: Number.isInteger(workers) && workers >= least,
    adapt:
      Number.isInteger(minimum) &&
      Number.isInteger(maximum) &&
      minimum >= 0 &&
      maximum >= Math.max(1, minimum)
  };
  const submit = (event: React.FormEvent): void => {
    event.preventDefault();
    props.onSubmit(sizes[kind]);
  };
  return (
    <form className="jps-Size" onSubmit={submit}>
      <SelectField
        label={trans.__('Size')}
        value={kind}
        options={kinds}
        onChange={value => setKind(value as Kind)}
      />
      {kind === 'adapt' && (
        <>
          <NumberField
            label={trans.__('From')}
            value={minimum}
            least={0}
            onChange={setMinimum}
          />
          <NumberField
            label={trans.__('To')}
            value={maximum}
            least={1}
            onChange={setMaximum}
          />
        </>
      )}
      {kind === 'workers' && (
        <NumberField
          label={trans.__('Workers')}
          value={workers}
          least={least}
          most={most}
          onChange={setWorkers}
        />
      )}
      <button
        type="submit"
        className={`jps-Button ${props.kind ? `jps-mod-${props.kind}` : ''}`}
        aria-label={props.label}
        title={props.label}
        disabled={props.disabled === true || !fits[kind]}
      >
        {props.action}
      </button>
    </form>
  );
}
