import { Collection } from './collection';
import type { IFeed } from './feed';
import type { Requests, Size } from './requests';
import type { ICluster, IProfiles } from './states';

type ClusterRequests = Pick<
  Requests,
  'clusters' | 'profiles' | 'start' | 'resize' | 'close'
>;

/** The clusters of this server's user, and what can be started. */
export class Clusters extends Collection<ICluster> {
  constructor(
    private readonly _requests: ClusterRequests,
    feed: IFeed
  ) {
    super(
      'clusters',
      feed,
      async () => {
        this._profiles = await _requests.profiles();
        return _requests.clusters();
      },
      (a, b) => b.created - a.created
    );
  }

  get profiles(): IProfiles {
    return this._profiles;
  }

  /** Those that can be worked on. */
  get running(): readonly ICluster[] {
    return this.items.filter(cluster => cluster.state === 'running');
  }

  async start(
    profile: string,
    size: Size | null,
    notebook: string
  ): Promise<void> {
    const started = await this._requests.start(profile, size, notebook);
    if (!this.get(started.id)) {
      this.put(started); // else an event was quicker, and knows more
    }
  }

  /** Change the size; returns what the cluster says to it. */
  resize(id: string, size: Size): Promise<string> {
    return this._requests.resize(id, size);
  }

  /** Close it, or remove the note of one that has ended. */
  async close(id: string): Promise<void> {
    const cluster = this.get(id);
    await this._requests.close(id);
    if (cluster && ended(cluster)) {
      this.drop(id);
    }
  }

  private _profiles: IProfiles = { default: '', profiles: [], error: '' };
}

export function ended(cluster: ICluster): boolean {
  return cluster.state === 'closed' || cluster.state === 'failed';
}
