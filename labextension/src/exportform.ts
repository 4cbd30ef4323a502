import { type ISignal, Signal } from '@lumino/signaling';

import type { IExportOptions, IFinding } from './states';

/** The parts that can be had besides, by their flags. */
export type Part = 'thebe' | 'docker' | 'kubernetes' | 'git' | 'wheels';

/** What an export of a notebook is to be. */
export interface IWanted extends Readonly<Record<Part, boolean>> {
  /** Where to, relative to the notebook. */
  readonly folder: string;
  /** The address of the repository that it will be, or nothing. */
  readonly binder: string;
  readonly verify: boolean;
  /** All warnings are accepted. */
  readonly yes: boolean;
  /** Findings that are accepted, by id. */
  readonly accept: readonly string[];
  /** Flags, as they are written. */
  readonly others: string;
}

const FLAGS: readonly Part[] = [
  'thebe',
  'docker',
  'kubernetes',
  'git',
  'wheels'
];
const PLAIN = /^[\w@%+=:,./~-]+$/;
/** What IPython reads as a variable, or what ends a line. */
const READ = /[{}$\n\r]/;
const EACH = new RegExp(READ, 'g');

/** What is filled in for an export, and the line that does it; each kernel has its own. */
export class ExportForm {
  /** @param notebook - The name of the file, by which the folder is called. */
  constructor(notebook: string) {
    this._wanted = {
      folder: `${notebook.replace(/\.ipynb$/, '').replace(EACH, '_')}-repo`,
      binder: '',
      thebe: false,
      docker: false,
      kubernetes: false,
      git: false,
      wheels: false,
      verify: true,
      yes: false,
      accept: [],
      others: ''
    };
  }

  /** Emitted when anything here has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get wanted(): IWanted {
    return this._wanted;
  }

  /** Whether its cell waits for the kernel, or runs. */
  get isWaiting(): boolean {
    return this._isWaiting;
  }

  /** Fill in. */
  set(change: Partial<IWanted>): void {
    this._isFilled = true;
    this._wanted = { ...this._wanted, ...change };
    this._changed.emit();
  }

  /** Accept a finding, or no longer. */
  accept(id: string, isAccepted: boolean): void {
    const others = this._wanted.accept.filter(one => one !== id);
    this.set({ accept: isAccepted ? [...others, id] : others });
  }

  /** Whether the next export accepts it. */
  accepts({ id, level }: IFinding): boolean {
    const { accept, yes } = this._wanted;
    return accept.includes(id) || (level === 'warning' && yes);
  }

  /** Take what an export was asked for before this page knew of it, unless something is filled in. */
  take(options: IExportOptions): void {
    if (!this._isFilled) {
      this._isFilled = true;
      this._wanted = taken(options);
      this._changed.emit();
    }
  }

  /** What is wrong with the folder or the address, for a cell, or nothing. */
  get problem(): 'no folder' | 'not plain' | '' {
    const { folder, binder, accept, others } = this._wanted;
    if (!folder.trim()) {
      return 'no folder';
    }
    const all = [folder, binder, others, ...accept].join(' ');
    return READ.test(all) ? 'not plain' : '';
  }

  /** The line that does it; a plan writes nothing. */
  line(isPlan: boolean): string {
    const { folder, binder, verify, yes, accept, others } = this._wanted;
    return [
      '%scale export',
      quoted(folder.trim()),
      ...FLAGS.filter(flag => this._wanted[flag]).map(flag => `--${flag}`),
      ...(binder.trim() ? [`--binder ${quoted(binder.trim())}`] : []),
      ...(verify ? [] : ['--no-verify']),
      ...(yes ? ['--yes'] : []),
      ...accept.map(id => `--accept ${quoted(id)}`),
      ...(others.trim() ? [others.trim()] : []),
      ...(isPlan ? ['--plan'] : [])
    ].join(' ');
  }

  /** Have it said meanwhile that the cell waits. */
  async during<T>(action: () => Promise<T>): Promise<T> {
    this._isWaiting = true;
    this._changed.emit();
    try {
      return await action();
    } finally {
      this._isWaiting = false;
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _isFilled = false;
  private _isWaiting = false;
  private _wanted: IWanted;
}

/** The forms by kernel. */
export class ExportForms {
  of(kernel: string, notebook: string): ExportForm {
    const form = this._forms.get(kernel) ?? new ExportForm(notebook);
    this._forms.set(kernel, form);
    return form;
  }

  private readonly _forms = new Map<string, ExportForm>();
}

/** A word, as the line's reader takes it for one. */
export function quoted(text: string): string {
  return PLAIN.test(text) ? text : `'${text.replace(/'/g, `'"'"'`)}'`;
}

function taken(options: IExportOptions): IWanted {
  const { course, image, kubernetes, name, sources } = options;
  const { folder, binder, thebe, docker, git, wheels, verify } = options;
  const others = [
    ...(course ? ['--course'] : []),
    ...(image ? ['--image'] : []),
    ...(name ? [`--kubernetes ${quoted(name)}`] : []),
    ...sources.map(pair => `--source ${quoted(pair.join('='))}`)
  ];
  return {
    ...{ folder, binder, thebe, docker, git, wheels, verify },
    kubernetes: kubernetes && !name,
    yes: options.yes,
    accept: options.accept,
    others: others.join(' ')
  };
}
