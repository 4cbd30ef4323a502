import type { Kernel, KernelMessage } from '@jupyterlab/services';

/** The part of a connection to a kernel that is asked here. */
export interface IKernel extends Pick<
  Kernel.IKernelConnection,
  'id' | 'status' | 'isDisposed'
> {
  requestExecute(content: KernelMessage.IExecuteRequestMsg['content']): {
    readonly done: Promise<
      Pick<KernelMessage.IExecuteReplyMsg, 'content'> | undefined
    >;
  };
}

/**
 * Why a kernel has not answered.
 *
 * - `none`: there is no kernel
 * - `dead`: it has died
 * - `gone`: it ended, or was restarted, before it answered
 * - `skipped`: the cell before failed or was interrupted, and what waited was dropped
 * - `missing`: jupyter_scale cannot be imported there
 * - `foreign`: it does not speak Python
 * - `failed`: the expression has; the message says how
 */
export type Reason =
  'none' | 'dead' | 'gone' | 'skipped' | 'missing' | 'foreign' | 'failed';

/** What a kernel has not answered, and why. */
export class KernelError extends Error {
  constructor(
    readonly reason: Reason,
    message = ''
  ) {
    super(message);
    this.name = 'KernelError';
  }
}

/** Nbformat's part of a value, or of an error. */
interface IValue {
  readonly status: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly ename?: string;
  readonly evalue?: string;
}

/**
 * Evaluate an expression of the module jupyter_scale.launch, whose value says itself in JSON.
 *
 * Neither the history nor the numbers of cells show it. A busy kernel answers later.
 */
export async function evaluate<T>(
  kernel: IKernel | null | undefined,
  expression: string
): Promise<T> {
  if (!kernel) {
    throw new KernelError('none');
  }
  if (kernel.isDisposed || ['dead', 'terminating'].includes(kernel.status)) {
    throw new KernelError('dead');
  }
  const module = '__import__("jupyter_scale.launch", fromlist=["_"])';
  const request = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    allow_stdin: false,
    stop_on_error: false,
    user_expressions: { scale: `${module}.${expression}` }
  });
  const reply = await request.done.catch(() => undefined);
  if (!reply) {
    throw new KernelError('gone');
  }
  const { content } = reply;
  if (content.status !== 'ok') {
    throw new KernelError('skipped');
  }
  // what the kernel sent: the message's own type says no more than that it is JSON
  const value = content.user_expressions?.['scale'] as unknown as
    IValue | undefined;
  if (!value) {
    throw new KernelError('foreign');
  }
  if (value.status !== 'ok') {
    const { ename = '', evalue = '' } = value;
    throw ename === 'ModuleNotFoundError' && evalue.includes('jupyter_scale')
      ? new KernelError('missing')
      : new KernelError('failed', `${ename}: ${evalue.split('\n')[0]}`);
  }
  return value.data?.['application/json'] as T;
}
