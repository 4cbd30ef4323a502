import { type ISignal, Signal } from '@lumino/signaling';

import { evaluate, type IKernel, KernelError } from './kernel';

/** A parameter of an estimator, as scikit-learn declares it. */
export interface IParameter {
  /** As in a grid: `svc__C`. */
  readonly name: string;
  /** What has it: `svc: SVC`. */
  readonly step: string;
  /** What it is now, as code, or nothing. */
  readonly value: string;
  /** What it may be, in words. */
  readonly range: string;
  /** Values to try, as code. */
  readonly suggested: readonly string[];
}

export interface IEstimator {
  readonly name: string;
  readonly kind: string;
  readonly parameters: readonly IParameter[];
}

export interface IData {
  readonly name: string;
  readonly words: string;
}

/** What a notebook has to search with. */
export interface IFound {
  readonly estimators: readonly IEstimator[];
  readonly data: readonly IData[];
  readonly scorers: readonly string[];
}

/** What is filled in. */
export interface IAsked {
  readonly estimator: string;
  readonly X: string;
  /** Empty for none. */
  readonly y: string;
  /** Values by parameter, as one would write them: `0.1, 1`. */
  readonly grid: Readonly<Record<string, string>>;
  readonly cv: number;
  /** Empty for the estimator's own. */
  readonly scoring: string;
}

/** The cell that does it, and how large its search is. */
export interface IPlan {
  readonly code: string;
  readonly cells: number;
  readonly fits: number;
  readonly fits_saved: number;
  readonly notes: readonly string[];
}

/** What is wrong, by field; of the whole at ''. */
export type Problems = Readonly<Record<string, string>>;

type Proposed = { readonly problems: Problems } & Partial<IPlan>;

const NOTHING: IAsked = {
  estimator: '',
  X: '',
  y: '',
  grid: {},
  cv: 5,
  scoring: ''
};

const NO_FITS = { cells: 0, fits: 0, fits_saved: 0, notes: [] };

/**
 * A new search of one kernel: what there is, what is filled in, what comes of it.
 *
 * The kernel is asked by `look` and `propose` alone, one request at a time. A plan is of what is
 * filled in: any change drops it, and an answer that comes after a change is not taken.
 */
export class Form {
  /** Emitted when anything here has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** What the notebook has; null before it was looked at. */
  get found(): IFound | null {
    return this._found;
  }

  get asked(): IAsked {
    return this._asked;
  }

  get problems(): Problems {
    return this._problems;
  }

  get plan(): IPlan | null {
    return this._plan;
  }

  /** Why the kernel's last answer is missing. */
  get trouble(): KernelError | null {
    return this._trouble;
  }

  /** What the kernel is asked for now. */
  get waiting(): 'found' | 'plan' | '' {
    return this._waiting;
  }

  /** Whether the kernel was at work when it was asked: it answers after that. */
  get isBusy(): boolean {
    return this._isBusy;
  }

  get estimator(): IEstimator | undefined {
    return this._found?.estimators.find(
      one => one.name === this._asked.estimator
    );
  }

  /** Ask what there is; what is filled in stays, where it is still there. */
  look(kernel: IKernel | null | undefined): Promise<void> {
    return this._ask<IFound>(kernel, 'found', 'found()', found => {
      this._found = found;
      this._asked = kept(this._asked, found);
      this._drop();
    });
  }

  /** Ask what a search with all that is filled in would be. */
  propose(kernel: IKernel | null | undefined): Promise<void> {
    const asked = this._asked;
    // the second time, JSON is a string of Python's
    const text = JSON.stringify(JSON.stringify(asked));
    return this._ask<Proposed>(kernel, 'plan', `proposed(${text})`, answer => {
      if (this._asked === asked) {
        const { problems, code, ...size } = answer;
        this._problems = problems;
        this._plan = code ? { ...NO_FITS, ...size, code } : null;
      }
    });
  }

  /** Fill in a field. Another estimator has other parameters: the grid is empty then. */
  set(change: Partial<Omit<IAsked, 'grid'>>): void {
    const { estimator } = change;
    const other =
      estimator !== undefined && estimator !== this._asked.estimator;
    const grid = other ? {} : this._asked.grid;
    this._asked = { ...this._asked, ...change, grid };
    const fields = other
      ? Object.keys(this._problems)
      : ['', ...Object.keys(change)];
    this._drop(...fields);
    this._changed.emit();
  }

  /** Search over a parameter, from the values that are suggested; or no more. */
  tick(name: string, ticked: boolean): void {
    const { [name]: before, ...others } = this._asked.grid;
    const known = this.estimator?.parameters.find(one => one.name === name);
    const values = before ?? known?.suggested.join(', ') ?? '';
    this._fill(name, ticked ? { ...others, [name]: values } : others);
  }

  /** Write the values of a parameter. */
  type(name: string, values: string): void {
    this._fill(name, { ...this._asked.grid, [name]: values });
  }

  private _fill(name: string, grid: Record<string, string>): void {
    this._asked = { ...this._asked, grid };
    this._drop('', 'grid', name);
    this._changed.emit();
  }

  /** The plan is not of this any more, nor is what was said of these fields; of all, without any. */
  private _drop(...fields: string[]): void {
    this._plan = null;
    this._trouble = null;
    const others = Object.entries(this._problems).filter(
      ([field]) => !fields.includes(field)
    );
    this._problems = fields.length ? Object.fromEntries(others) : {};
  }

  private async _ask<T>(
    kernel: IKernel | null | undefined,
    what: 'found' | 'plan',
    expression: string,
    take: (answer: T) => void
  ): Promise<void> {
    if (this._waiting) {
      return;
    }
    this._isBusy = kernel?.status === 'busy';
    this._waiting = what;
    this._drop();
    this._changed.emit();
    try {
      take(await evaluate<T>(kernel, expression));
    } catch (reason) {
      this._trouble =
        reason instanceof KernelError
          ? reason
          : new KernelError('failed', String(reason));
    }
    this._waiting = '';
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _asked: IAsked = NOTHING;
  private _found: IFound | null = null;
  private _isBusy = false;
  private _plan: IPlan | null = null;
  private _problems: Problems = {};
  private _trouble: KernelError | null = null;
  private _waiting: 'found' | 'plan' | '' = '';
}

/** The forms by kernel: each notebook has its own, also while another is in front. */
export class Forms {
  of(kernel: string): Form {
    const form = this._forms.get(kernel) ?? new Form();
    this._forms.set(kernel, form);
    return form;
  }

  private readonly _forms = new Map<string, Form>();
}

/** What was filled in, where it is still there; else what it probably is. */
export function kept(asked: IAsked, found: IFound): IAsked {
  const names = found.data.map(one => one.name);
  const estimator =
    found.estimators.find(one => one.name === asked.estimator) ??
    found.estimators.at(-1); // what is made last holds what was made before
  const likely = (...known: string[]): string | undefined =>
    known.find(name => names.includes(name));
  const table = found.data.find(one => one.words.includes(' x '));
  const X = likely(asked.X, 'X_train', 'X') ?? table?.name ?? names[0] ?? '';
  const targets =
    X === 'X_train' ? ['y_train', 'y', 'target'] : ['y', 'target', 'y_train'];
  const parameters = new Set(estimator?.parameters.map(one => one.name));
  return {
    ...asked,
    estimator: estimator?.name ?? '',
    X,
    y: asked.X && !asked.y ? '' : (likely(asked.y, ...targets) ?? ''),
    grid:
      estimator?.name === asked.estimator
        ? Object.fromEntries(
            Object.entries(asked.grid).filter(([name]) => parameters.has(name))
          )
        : {},
    scoring: found.scorers.includes(asked.scoring) ? asked.scoring : ''
  };
}

/** The parameters by step; those that match the text, and those that are ticked. */
export function byStep(
  parameters: readonly IParameter[],
  text: string,
  grid: IAsked['grid']
): [string, IParameter[]][] {
  const words = text.toLowerCase().split(/\s+/);
  const steps = new Map<string, IParameter[]>();
  for (const one of parameters) {
    const all = `${one.name} ${one.step}`.toLowerCase();
    if (one.name in grid || words.every(word => all.includes(word))) {
      steps.set(one.step, [...(steps.get(one.step) ?? []), one]);
    }
  }
  return [...steps];
}

/** A parameter's name within its step. */
export function shortName({ name }: IParameter): string {
  return name.split('__').at(-1) ?? name;
}
