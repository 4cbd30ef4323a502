// What the server tells: the shapes of its answers and events.
// Times are seconds since the epoch, durations seconds, sizes bytes.

/** Between how many workers a cluster follows its work. */
export interface IAdapt {
  readonly minimum: number;
  readonly maximum: number;
}

/** A kind of cluster that can be started. */
export interface IProfile {
  readonly name: string;
  /** Its class, or the address of one that runs already. */
  readonly kind: string;
  readonly size: string;
  /** The file that it comes from. */
  readonly origin: string;
  /** The command that installs what it needs, or nothing. */
  readonly missing: string;
  readonly local: boolean;
  readonly tested: boolean;
  readonly workers: number | null;
  readonly adapt: IAdapt | null;
}

/** All that can be started, or what is wrong with their configuration. */
export interface IProfiles {
  readonly default: string;
  readonly profiles: readonly IProfile[];
  readonly error: string;
}

export interface ICluster {
  readonly id: string;
  readonly profile: string;
  readonly state: 'starting' | 'running' | 'closed' | 'failed';
  /** Its size, what it waits for, or why it ended. */
  readonly words: string;
  /** The path of the notebook that started it, or nothing. */
  readonly notebook: string;
  readonly created: number;
  /** Zero while it runs. */
  readonly ended: number;
  /** How many it is to have; null while it adapts. */
  readonly workers: number | null;
  readonly adapt: IAdapt | null;
  /** Workers that are there now. */
  readonly present: number;
  readonly threads: number;
  readonly memory: number;
  /** Of all workers; zero when unknown. */
  readonly limit: number;
  /** Below the server's base address, or nothing. */
  readonly dashboard: string;
  readonly address: string;
  /** Whether its process is on this machine. */
  readonly here: boolean;
  /** Packages of its workers that %%scale would refuse: `numpy 1.0 (here 2.4)`. */
  readonly differs: readonly string[];
}

export type Status =
  | 'running'
  | 'paused'
  | 'refitting'
  | 'done'
  | 'failed'
  | 'interrupted'
  | 'stopped';

export interface ISearch {
  readonly id: string;
  readonly name: string;
  readonly status: Status;
  /** The path of its notebook, or nothing. */
  readonly notebook: string;
  readonly kernel: string;
  readonly cell: string;
  /** The cell's number in its prompt, or zero. */
  readonly count: number;
  /** Where it runs, in words. */
  readonly cluster: string;
  /** The id of that cluster, or nothing: an address, or the kernel itself. */
  readonly cluster_id: string;
  readonly started: number;
  readonly updated: number;
  readonly cells: number;
  readonly cells_done: number;
  readonly fits: number;
  readonly fits_done: number;
  readonly fits_saved: number;
  readonly seconds: number;
  readonly seconds_left: number | null;
  readonly best: { readonly score: number; readonly parameters: string } | null;
  readonly failures: readonly string[];
  /** Its id on record, or nothing. */
  readonly run: string;
}

/** A search on record, whoever ran it. */
export interface IRun {
  readonly id: string;
  readonly name: string;
  /** Lost is one whose kernel ended before it did. */
  readonly status: Status | 'lost';
  readonly started: number;
  /** The best score. */
  readonly best: number | null;
  /** The name of its notebook, or nothing. */
  readonly notebook: string;
  readonly tags: readonly string[];
}

/** What a search's cell shows now. */
export interface IShown {
  readonly search: ISearch;
  /** Made and escaped by the server. */
  readonly html: string;
  readonly text: string;
}

/** What is in the way of running a notebook elsewhere, or of publishing it. */
export interface IFinding {
  readonly id: string;
  readonly level: 'blocker' | 'warning';
  /** `cell 3`, a file, a package. */
  readonly where: string;
  readonly what: string;
  readonly remedy: string;
  /** What accepting a blocker says; nothing where that does not help. */
  readonly answer: string;
  /** Whether it is still to be answered. */
  readonly open: boolean;
  /** The id of the cell that it is about, or nothing. */
  readonly cell: string;
  /** The file, as the server's contents name it. */
  readonly file: string | null;
}

/** One thing that is said of an exported folder. */
export interface IClaim {
  readonly name: string;
  readonly status: 'verified' | 'not verified' | 'failed';
  readonly details: readonly string[];
}

export interface IExportReport {
  /** All of it in one line. */
  readonly head: string;
  readonly python: string;
  /** Packages in the lock. */
  readonly pinned: number;
  readonly verdict: string;
  readonly findings: readonly IFinding[];
  readonly roots: readonly {
    readonly name: string;
    readonly version: string;
    readonly reasons: readonly string[];
  }[];
  readonly changes: readonly {
    readonly path: string;
    readonly kind: 'new' | 'changed' | 'same' | 'removed' | 'foreign';
  }[];
  readonly claims: readonly IClaim[];
  readonly notes: readonly string[];
  /** Commands that are left to do. */
  readonly next: readonly string[];
  /** Markdown, or nothing before there is a commit. */
  readonly badge: string;
}

/** What a line of `%scale export` asks for. */
export interface IExportOptions {
  readonly folder: string;
  readonly plan: boolean;
  readonly accept: readonly string[];
  readonly yes: boolean;
  readonly wheels: boolean;
  readonly binder: string;
  readonly thebe: boolean;
  readonly course: boolean;
  readonly docker: boolean;
  readonly kubernetes: boolean;
  /** Of the image in manifests. */
  readonly name: string;
  readonly image: boolean;
  readonly git: boolean;
  readonly verify: boolean;
  readonly sources: readonly (readonly string[])[];
}

/** The last export of a kernel's notebook. */
export interface IExport {
  readonly id: string;
  readonly kernel: string;
  readonly cell: string;
  readonly options: IExportOptions;
  readonly folder: string;
  /** The same as the server's contents name it; null where they do not have it. */
  readonly path: string | null;
  readonly started: number;
  readonly status:
    'running' | 'planned' | 'blocked' | 'exported' | 'failed' | 'interrupted';
  /** What is being done. */
  readonly stage: string;
  /** Those that were tried so far. */
  readonly claims: readonly IClaim[];
  readonly report: IExportReport | null;
  readonly error: string;
}

/** The cluster that a kernel is to use; `id` is the kernel's. */
export interface IChoice {
  readonly id: string;
  readonly cluster: string;
}

export type Action = 'stop' | 'pause' | 'resume';

/** What has changed of one kind. */
export interface IChange {
  readonly kind: string;
  readonly changed: readonly { readonly id: string }[];
  readonly removed: readonly string[];
}

/** Whether a search with this status still goes on. */
export function alive(status: string): boolean {
  return ['running', 'paused', 'refitting'].includes(status);
}
