import * as React from 'react';

import type { IAnswer } from './hooks';

interface IButton {
  /** What is on it. */
  children: React.ReactNode;
  onClick: () => void;
  /** What it does, in full, for those who cannot see what it stands by. */
  label?: string;
  disabled?: boolean;
  pressed?: boolean;
  kind?: 'main' | 'danger';
}

export function Button(props: IButton): JSX.Element {
  return (
    <button
      type="button"
      className={`jps-Button ${props.kind ? `jps-mod-${props.kind}` : ''}`}
      aria-label={props.label}
      title={props.label}
      aria-pressed={props.pressed}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      {props.children}
    </button>
  );
}

interface IBar {
  label: string;
  value: number;
  /** Zero when it is not known. */
  most: number;
  text: string;
  role?: 'meter' | 'progressbar';
  state?: string;
}

/** A bar with its text, for eyes and for screen readers. */
export function Bar(props: IBar): JSX.Element {
  const { label, value, most, text, role = 'meter', state = '' } = props;
  const part = most > 0 ? Math.min(1, value / most) : 0;
  return (
    <div className="jps-Bar" data-state={state}>
      <span className="jps-Bar-label" aria-hidden="true">
        {label}
      </span>
      <div
        className="jps-Bar-track"
        role={role}
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={most || value || 1}
        aria-valuenow={value}
        aria-valuetext={text}
      >
        <div className="jps-Bar-fill" style={{ width: `${100 * part}%` }} />
      </div>
      <span className="jps-Bar-text" aria-hidden="true">
        {text}
      </span>
    </div>
  );
}

/** What came of a click. */
export function Answer({ answer }: { answer: IAnswer }): JSX.Element | null {
  const node = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    if (answer.text) {
      node.current?.scrollIntoView({ block: 'nearest' });
    }
  }, [answer]);
  // there from the start: only what changes in it is read out
  return (
    <div
      ref={node}
      role="status"
      className={`jps-Answer ${answer.isError ? 'jps-mod-error' : ''}`}
    >
      {answer.text}
    </div>
  );
}

/** What to do where there is nothing yet, or what is wrong. */
export function Hint(props: {
  children: React.ReactNode;
  isError?: boolean;
}): JSX.Element {
  return (
    <p
      className={`jps-Hint ${props.isError ? 'jps-mod-error' : ''}`}
      role={props.isError ? 'alert' : undefined}
    >
      {props.children}
    </p>
  );
}

interface IField {
  label: string;
  isWide?: boolean;
  /** The control, of which this is the id. */
  children: (id: string) => React.ReactNode;
}

/** A control and its label. */
export function Field({ label, isWide, children }: IField): JSX.Element {
  const id = React.useId();
  return (
    <div className={`jps-Field ${isWide ? 'jps-mod-wide' : ''}`}>
      <label htmlFor={id}>{label}</label>
      {children(id)}
    </div>
  );
}

interface ISelect {
  label: string;
  value: string;
  /** Values and what they are called. */
  options: readonly (readonly [string, string])[];
  isWide?: boolean;
  onChange: (value: string) => void;
}

/** One of several values. */
export function SelectField(props: ISelect): JSX.Element {
  return (
    <Field label={props.label} isWide={props.isWide}>
      {id => (
        <select
          id={id}
          className="jps-Input"
          value={props.value}
          onChange={event => props.onChange(event.target.value)}
        >
          {props.options.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface INumber {
  label: string;
  value: number;
  least: number;
  onChange: (value: number) => void;
}

/** A whole number that can be typed or stepped. */
export function NumberField(props: INumber): JSX.Element {
  const { label, value, least, onChange } = props;
  return (
    <Field label={label}>
      {id => (
        <input
          id={id}
          type="number"
          className="jps-Input"
          min={least}
          step={1}
          value={Number.isNaN(value) ? '' : value}
          onChange={event => onChange(event.target.valueAsNumber)}
        />
      )}
    </Field>
  );
}
