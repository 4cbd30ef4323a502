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

/** What to know before going on; without text, nothing. */
export function Warning({
  children
}: {
  children: string;
}): JSX.Element | null {
  return children ? (
    <p className="jps-Words jps-mod-waiting" role="status">
      {children}
    </p>
  ) : null;
}

/** What a control needs to belong to its label and to what is said of it. */
interface IControl {
  id: string;
  'aria-describedby': string | undefined;
  'aria-invalid': true | undefined;
}

interface IDescribed {
  /** What it may be. */
  note?: string;
  /** What is wrong with it. */
  problem?: string;
}

interface IField extends IDescribed {
  label: string;
  isWide?: boolean;
  /** The control; these are to be among its attributes. */
  children: (control: IControl) => React.ReactNode;
}

/** A control, its label, and what is said of it. */
export function Field(props: IField): JSX.Element {
  const { label, isWide, note, problem, children } = props;
  const id = React.useId();
  const notes = [note && `${id}-note`, problem && `${id}-problem`];
  return (
    <div className={`jps-Field ${isWide ? 'jps-mod-wide' : ''}`}>
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        'aria-describedby': notes.filter(Boolean).join(' ') || undefined,
        'aria-invalid': problem ? true : undefined
      })}
      {note && (
        <span id={`${id}-note`} className="jps-Note">
          {note}
        </span>
      )}
      {problem && (
        <span id={`${id}-problem`} className="jps-Problem" role="alert">
          {problem}
        </span>
      )}
    </div>
  );
}

interface ISelect extends IDescribed {
  label: string;
  value: string;
  /** Values and what they are called. */
  options: readonly (readonly [string, string])[];
  isWide?: boolean;
  disabled?: boolean;
  onChange: (value: string) => void;
}

/** One of several values. */
export function SelectField(props: ISelect): JSX.Element {
  const { value, options, disabled, onChange, ...field } = props;
  return (
    <Field {...field}>
      {control => (
        <select
          {...control}
          className="jps-Input"
          value={value}
          disabled={disabled}
          onChange={event => onChange(event.target.value)}
        >
          {options.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface INumber extends IDescribed {
  label: string;
  value: number;
  least: number;
  /** As far as a slider goes; without it there is none. What is typed may be more. */
  most?: number;
  isWide?: boolean;
  onChange: (value: number) => void;
}

/** A whole number that can be typed or stepped, or slid to. */
export function NumberField(props: INumber): JSX.Element {
  const { value, least, most, onChange, ...field } = props;
  const change = (event: React.ChangeEvent<HTMLInputElement>): void =>
    onChange(event.target.valueAsNumber);
  const input = (control: IControl): JSX.Element => (
    <input
      {...control}
      type="number"
      className="jps-Input"
      required
      min={least}
      step={1}
      value={Number.isNaN(value) ? '' : value}
      onChange={change}
    />
  );
  return (
    <Field {...field}>
      {control =>
        most === undefined ? (
          input(control)
        ) : (
          <div className="jps-Slid">
            {input(control)}
            <input
              type="range"
              className="jps-Slider"
              aria-label={field.label}
              min={least}
              max={most}
              step={1}
              value={Number.isNaN(value) ? least : value}
              onChange={change}
            />
          </div>
        )
      }
    </Field>
  );
}

interface IText extends IDescribed {
  label: string;
  value: string;
  isWide?: boolean;
  placeholder?: string;
  onChange: (value: string) => void;
}

/** A line of code. */
export function CodeField(props: IText): JSX.Element {
  const { value, placeholder, onChange, ...field } = props;
  return (
    <Field {...field}>
      {control => (
        <input
          {...control}
          type="text"
          className="jps-Input jps-mod-code"
          spellCheck={false}
          autoComplete="off"
          placeholder={placeholder}
          value={value}
          onChange={event => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

interface ITick {
  label: string;
  /** What it does. */
  note?: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}

/** Something to have or not. */
export function Tick({ label, note, checked, onChange }: ITick): JSX.Element {
  const id = React.useId();
  return (
    <div className="jps-Tick">
      <label>
        <input
          type="checkbox"
          checked={checked}
          aria-describedby={note && id}
          onChange={event => onChange(event.target.checked)}
        />
        <span>{label}</span>
      </label>
      {note && (
        <span id={id} className="jps-Note">
          {note}
        </span>
      )}
    </div>
  );
}
