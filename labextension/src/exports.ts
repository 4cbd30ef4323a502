import { Collection } from './collection';
import type { IFeed } from './feed';
import type { Requests } from './requests';
import type { IExport } from './states';

type ExportRequests = Pick<Requests, 'exports' | 'dismiss'>;

/** The last export of each kernel of this server. */
export class Exports extends Collection<IExport> {
  constructor(
    private readonly _requests: ExportRequests,
    feed: IFeed
  ) {
    super(
      'exports',
      feed,
      () => _requests.exports(),
      (a, b) => b.started - a.started
    );
  }

  /** That of a kernel. */
  of(kernel: string): IExport | undefined {
    return this.items.find(one => one.kernel === kernel);
  }

  /** Forget one that has ended. */
  async dismiss(id: string): Promise<void> {
    await this._requests.dismiss(id);
    this.drop(id);
  }
}
