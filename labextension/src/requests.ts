import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type {
  Action,
  IAdapt,
  ICluster,
  IExport,
  IProfiles,
  IRun,
  ISearch,
  IShown
} from './states';

const NO_SERVER =
  'The Jupyter server does not answer: see whether it runs, and the network.';
const NO_EXTENSION =
  'The server part of jupyter_scale is not there: run "jupyter server extension enable jupyter_scale" and restart Jupyter.';

/** What the server refused, in one line. */
export class RequestError extends Error {
  constructor(
    message: string,
    readonly status: number
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

/** How many workers: a number of them, or two between which they follow the work. */
export type Size = { workers: number } | { adapt: IAdapt };

/** The server's REST interface, typed; whatever fails is a RequestError. */
export class Requests {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  profiles(): Promise<IProfiles> {
    return this._get('profiles');
  }

  async clusters(): Promise<ICluster[]> {
    return (await this._get<{ clusters: ICluster[] }>('clusters')).clusters;
  }

  start(
    profile: string,
    size: Size | null,
    notebook: string
  ): Promise<ICluster> {
    const body = { profile, ...size, ...(notebook && { notebook }) };
    return this._ask('POST', ['clusters'], body);
  }

  async resize(id: string, size: Size): Promise<string> {
    const path = ['clusters', id];
    return (await this._ask<{ words: string }>('PATCH', path, size)).words;
  }

  close(id: string): Promise<void> {
    return this._ask('DELETE', ['clusters', id]);
  }

  async searches(): Promise<ISearch[]> {
    return (await this._get<{ searches: ISearch[] }>('searches')).searches;
  }

  shown(id: string): Promise<IShown> {
    return this._get('searches', id);
  }

  act(id: string, action: Action): Promise<void> {
    return this._ask('POST', ['searches', id], { action });
  }

  forget(id: string): Promise<void> {
    return this._ask('DELETE', ['searches', id]);
  }

  async exports(): Promise<IExport[]> {
    return (await this._get<{ exports: IExport[] }>('exports')).exports;
  }

  /** Forget an export that has ended. */
  dismiss(id: string): Promise<void> {
    return this._ask('DELETE', ['exports', id]);
  }

  async runs(): Promise<IRun[]> {
    return (await this._get<{ runs: IRun[] }>('runs')).runs;
  }

  /** All that is on record of a run, or what differs between two, as HTML. */
  async page(...runs: readonly string[]): Promise<string> {
    return (await this._get<{ html: string }>('runs', ...runs)).html;
  }

  async choice(kernel: string): Promise<string> {
    return (await this._get<{ cluster: string }>('choices', kernel)).cluster;
  }

  choose(kernel: string, cluster: string): Promise<void> {
    return this._ask('PUT', ['choices', kernel], { cluster });
  }

  private _get<T>(...path: string[]): Promise<T> {
    return this._ask<T>('GET', path);
  }

  private async _ask<T>(
    method: string,
    path: string[],
    body?: object
  ): Promise<T> {
    const url = URLExt.join(
      this._settings.baseUrl,
      'jupyter-scale',
      ...path.map(encodeURIComponent)
    );
    const init = { method, ...(body && { body: JSON.stringify(body) }) };
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this._settings);
    } catch {
      throw new RequestError(NO_SERVER, 0);
    }
    const text = await response.text().catch(() => '');
    if (response.ok) {
      return (text ? JSON.parse(text) : undefined) as T;
    }
    throw new RequestError(refusal(response, text, path), response.status);
  }
}

function refusal(response: Response, text: string, path: string[]): string {
  if (response.status === 404 && path.length === 1) {
    return NO_EXTENSION;
  }
  let message: unknown;
  try {
    message = (JSON.parse(text) as { message?: unknown }).message;
  } catch {
    // a proxy's page: its status says what there is to say
  }
  return typeof message === 'string' && message
    ? message
    : `The Jupyter server answers ${response.status} ${response.statusText}`.trim();
}
