import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type { ICluster, ISearch } from './states';

/** Facts about clusters and searches, for other extensions to read. */
export interface IScale {
  /** All clusters that are known, the newest first. */
  readonly clusters: readonly ICluster[];

  /** All searches that are known: those that run first. */
  readonly searches: readonly ISearch[];

  /** Emitted when `clusters` has changed. */
  readonly clustersChanged: ISignal<unknown, void>;

  /** Emitted when `searches` has changed. */
  readonly searchesChanged: ISignal<unknown, void>;

  /**
   * Find the cluster that a kernel is to use.
   *
   * @param kernel - The kernel's id.
   * @returns The cluster's id, or nothing.
   */
  chosen(kernel: string): string;
}

export const IScale = new Token<IScale>(
  'jupyter-scale:IScale',
  'Clusters and searches of jupyter_scale, live.'
);
