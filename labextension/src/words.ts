import type { TranslationBundle } from '@jupyterlab/translation';

import { alive, type ICluster, type IRun, type ISearch } from './states';

/** In translated text it is an argument: a doubled % there becomes one. */
export const MAGIC = '%%scale';

/** A size in bytes, for people. */
export function bytes(size: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size.toFixed(unit && size < 10 ? 1 : 0)} ${units[unit]}`;
}

/** A duration in seconds, for people. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60)];
  if (hours) {
    return `${hours} h ${minutes % 60} min`;
  }
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** A score, as short as it can be read. */
export function score(value: number): string {
  return Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
    ? value.toExponential(2)
    : String(Number(value.toFixed(4)));
}

/** What is wrong with a cluster before anything runs there, or nothing. */
export function warning(cluster: ICluster, trans: TranslationBundle): string {
  return cluster.differs.length === 0
    ? ''
    : trans.__(
        'It has other packages: %1. %2 refuses it: start one with the same versions, or go on at your own risk with %2 --force.',
        cluster.differs.join(', '),
        MAGIC
      );
}

/** Where a search runs. */
export function place(search: ISearch): string {
  return search.cluster_id || search.cluster;
}

/** A moment, in the words of this place. */
export function moment(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString(undefined, {
    dateStyle: 'medium',
    timeStyle: 'short'
  });
}

/** What a cluster's state means. */
export function state(
  cluster: Pick<ICluster, 'state'>,
  trans: TranslationBundle
): string {
  switch (cluster.state) {
    case 'starting':
      return trans.__('starting');
    case 'running':
      return trans.__('running');
    case 'closed':
      return trans.__('closed');
    case 'failed':
      return trans.__('failed');
  }
}

/** What a search's status means. */
export function status(
  search: Pick<IRun, 'status'>,
  trans: TranslationBundle
): string {
  switch (search.status) {
    case 'running':
      return trans.__('running');
    case 'paused':
      return trans.__('paused');
    case 'refitting':
      return trans.__('refitting the best');
    case 'done':
      return trans.__('done');
    case 'failed':
      return trans.__('failed');
    case 'interrupted':
      return trans.__('interrupted');
    case 'stopped':
      return trans.__('stopped');
    case 'lost':
      return trans.__('lost');
  }
}

/** How long a search will take, or took. */
export function time(search: ISearch, trans: TranslationBundle): string {
  const so = duration(search.seconds);
  if (!alive(search.status)) {
    return trans.__('after %1', so);
  }
  return search.seconds_left === null
    ? trans.__('%1 so far', so)
    : trans.__('%1 so far, about %2 left', so, duration(search.seconds_left));
}
