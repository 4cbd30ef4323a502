import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

/** Render again when a signal is emitted. */
export function useSignals(...signals: ISignal<unknown, unknown>[]): void {
  const [, again] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const slot = (): void => again();
    signals.forEach(signal => signal.connect(slot));
    return () => signals.forEach(signal => void signal.disconnect(slot));
    // the signals of a model are the same as long as it is there
  }, []);
}

/** What came of the last thing that was asked for: words, or an error. */
export interface IAnswer {
  readonly text: string;
  readonly isError: boolean;
}

/** Do something, and keep what comes of it: `[answer, busy, act]`. */
export function useAction(): [
  IAnswer,
  boolean,
  (action: () => Promise<unknown>) => void
] {
  const [answer, setAnswer] = React.useState<IAnswer>({
    text: '',
    isError: false
  });
  const [busy, setBusy] = React.useState(false);
  const act = (action: () => Promise<unknown>): void => {
    setBusy(true);
    setAnswer({ text: '', isError: false });
    action()
      .then(
        said =>
          setAnswer({
            text: typeof said === 'string' ? said : '',
            isError: false
          }),
        (error: Error) => setAnswer({ text: error.message, isError: true })
      )
      .finally(() => setBusy(false));
  };
  return [answer, busy, act];
}
