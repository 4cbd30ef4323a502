import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bytes, duration, place, score, time, warning } from '../src/words';
import { cluster, search, trans } from './fakes';

test('packages that differ are a warning with its remedy', () => {
  assert.equal(warning(cluster('a'), trans), '');
  const differs = ['numpy 1.0 (here 2.4)', 'dask 1 (here 2)'];
  assert.match(
    warning(cluster('a', { differs }), trans),
    /^It has other packages: numpy 1\.0 \(here 2\.4\), dask 1 \(here 2\)\. %%scale refuses it: start .* %%scale --force\.$/
  );
});

test('a search runs on a cluster of the panel, or where it says', () => {
  assert.equal(place(search('s', { cluster_id: 'local-3f2a' })), 'local-3f2a');
  const here = search('s', { cluster_id: '', cluster: 'this process' });
  assert.equal(place(here), 'this process');
});

test('numbers are short', () => {
  assert.deepEqual(
    [bytes(512), bytes(1536), bytes(2 ** 34)],
    ['512 B', '1.5 KiB', '16 GiB']
  );
  assert.deepEqual(
    [duration(59.6), duration(3700)],
    ['1 min 0 s', '1 h 1 min']
  );
  assert.deepEqual(
    [score(0.97333), score(1e-7), score(0)],
    ['0.9733', '1.00e-7', '0']
  );
  const now = search('s', { seconds: 5, seconds_left: 61 });
  assert.equal(time(now, trans), '5 s so far, about 1 min 1 s left');
});
