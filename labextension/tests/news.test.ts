import assert from 'node:assert/strict';
import { test } from 'node:test';

import { news } from '../src/news';

test('what is new or otherwise is said, what is gone is not', () => {
  const before = new Map([
    ['a', 'local-1: starting'],
    ['b', 'Search: running'],
    ['c', 'Search: done']
  ]);
  assert.equal(news(before, before), '');
  const now = new Map([
    ['a', 'local-1: running'],
    ['b', 'Search: running'],
    ['d', 'Search: running']
  ]);
  assert.equal(news(before, now), 'local-1: running, Search: running');
});
