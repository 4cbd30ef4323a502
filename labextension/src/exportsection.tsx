import * as React from 'react';

import type { IContext } from './context';
import { Hint } from './parts';

/** What is to be: it says so. */
export function ExportSection({
  context: { trans }
}: {
  context: IContext;
}): JSX.Element {
  return (
    <Hint>
      {trans.__(
        'Publishing a notebook as a repository that anybody can run comes in a later version. Meanwhile, in a terminal:'
      )}{' '}
      <code>pip freeze &gt; requirements.txt</code>
    </Hint>
  );
}
