import * as React from 'react';

import type { IContext } from './context';
import { useSignals } from './hooks';
import { news, type Told } from './news';
import { state, status } from './words';

/** Says aloud, and shows nobody, what has become of clusters and searches. */
export function Announced({ context }: { context: IContext }): JSX.Element {
  const { clusters, searches, trans } = context;
  useSignals(clusters.changed, searches.changed);
  const isReady = clusters.ready && searches.ready;
  const before = React.useRef<Told | null>(null);
  const [text, setText] = React.useState('');
  React.useEffect(() => {
    if (!isReady) {
      return;
    }
    const now = new Map([
      ...clusters.items.map(
        one => [one.id, `${one.id}: ${state(one, trans)}`] as const
      ),
      ...searches.items.map(
        one => [one.id, `${one.name}: ${status(one, trans)}`] as const
      )
    ]);
    const said = news(before.current ?? now, now); // at first, all is known
    before.current = now;
    if (said) {
      setText(said);
    }
  });
  return <p role="status">{text}</p>;
}
