import { Collection } from './collection';
import type { IFeed } from './feed';
import type { Requests } from './requests';
import { type Action, alive, type ISearch, type IShown } from './states';

type SearchRequests = Pick<Requests, 'searches' | 'shown' | 'act' | 'forget'>;

/** The searches of this server's kernels: those that go on first, then the latest. */
export class Searches extends Collection<ISearch> {
  constructor(
    private readonly _requests: SearchRequests,
    feed: IFeed
  ) {
    super(
      'searches',
      feed,
      () => _requests.searches(),
      (a, b) =>
        Number(alive(b.status)) - Number(alive(a.status)) ||
        b.started - a.started
    );
  }

  /** Pause, resume or stop; the search's next event says when it has. */
  act(id: string, action: Action): Promise<void> {
    return this._requests.act(id, action);
  }

  /** What its cell shows now. */
  shown(id: string): Promise<IShown> {
    return this._requests.shown(id);
  }

  /** Forget one that has ended. */
  async forget(id: string): Promise<void> {
    await this._requests.forget(id);
    this.drop(id);
  }
}
