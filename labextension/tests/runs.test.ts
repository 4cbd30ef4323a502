import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { resumable, Runs } from '../src/runs';
import { Searches } from '../src/searches';
import type { IRun } from '../src/states';
import { FakeFeed, Later, recorded, search, settled } from './fakes';

let feed: FakeFeed;
let answers: (() => Promise<IRun[]>)[];
let reads: number;
let runs: Runs;

function ids(): string[] {
  return runs.items.map(item => item.id);
}

async function opened(...items: IRun[]): Promise<void> {
  answers.push(async () => items);
  runs.isWatched = true;
  await settled();
}

beforeEach(() => {
  feed = new FakeFeed();
  answers = [];
  reads = 0;
  const searches = new Searches(
    {
      searches: async () => [],
      shown: () => Promise.reject(new Error()),
      act: async () => undefined,
      forget: async () => undefined
    },
    feed
  );
  runs = new Runs(
    {
      runs: () => {
        reads += 1;
        return answers.shift()?.() ?? Promise.resolve([]);
      },
      page: async (...names) => names.join()
    },
    searches
  );
});

test('nothing is read before somebody looks, nor while nobody does', async () => {
  feed.tell('searches', [search('s', { run: 'a', status: 'done' })]);
  await settled();
  assert.deepEqual([reads, runs.ready], [0, false]);
  await opened(recorded('a'));
  assert.deepEqual([reads, ids()], [1, ['a']]);
  runs.isWatched = false;
  feed.tell('searches', [search('s', { run: 'b', status: 'done' })]);
  await settled();
  assert.equal(reads, 1);
  await opened(recorded('b'));
  assert.deepEqual([reads, ids()], [2, ['b']]);
});

test('they are read again when a search begins or ends, not while it goes on', async () => {
  await opened();
  for (const [more, expected] of [
    [{ run: '' }, 1],
    [{ run: 'a' }, 2],
    [{ run: 'a', cells_done: 2 }, 2],
    [{ run: 'a', status: 'refitting' }, 2],
    [{ run: 'a', status: 'done' }, 3],
    [{ run: 'b' }, 4]
  ] as const) {
    feed.tell('searches', [search('s', more)]);
    await settled();
    assert.equal(reads, expected, JSON.stringify(more));
  }
});

test('what a search says is newer than the record', async () => {
  await opened(
    recorded('a', { status: 'running', best: null }),
    recorded('b', { status: 'failed' })
  );
  const best = { score: 0.75, parameters: '' };
  feed.tell('searches', [
    search('s', { run: 'a', status: 'done', best }),
    search('t', { run: 'b', status: 'running', best })
  ]);
  assert.deepEqual(
    runs.items.map(run => [run.status, run.best]),
    [
      ['done', 0.75],
      ['failed', 0.5]
    ]
  );
});

test('one reading at a time; what came meanwhile is read after it', async () => {
  const slow = new Later<IRun[]>();
  answers.push(
    () => slow.promise,
    async () => [recorded('new')]
  );
  runs.isWatched = true;
  void runs.read();
  void runs.read();
  assert.equal(reads, 1);
  slow.resolve([recorded('old')]);
  await settled();
  assert.deepEqual([reads, ids()], [2, ['new']]);
});

test('an error is told, and what was known stays to be seen', async () => {
  await opened(recorded('a'));
  answers.push(() => Promise.reject(new Error('it is damaged: move it away')));
  await runs.read();
  assert.equal(runs.error, 'it is damaged: move it away');
  assert.deepEqual(ids(), ['a']);
  await runs.read();
  assert.deepEqual([runs.error, ids()], ['', []]);
});

test('each word of the filter must be somewhere', async () => {
  await opened(
    recorded('a', { tags: ['paper'], notebook: 'Wine.ipynb' }),
    recorded('b', { tags: ['paper'], status: 'lost' })
  );
  for (const [text, expected] of [
    ['PAPER', ['a', 'b']],
    [' paper  wine ', ['a']],
    ['lost', ['b']],
    ['pipeline lost paper', ['b']],
    ['nothing', []]
  ] as const) {
    runs.filter = text;
    assert.deepEqual(ids(), expected, text);
  }
  assert.equal(runs.all.length, 2);
});

test('two are picked, the earlier is the first; a third takes the place of one', async () => {
  await opened(recorded('c'), recorded('b'), recorded('a'));
  const picked: (readonly string[])[] = [];
  runs.changed.connect(() => picked.push(runs.picked));
  ['b', 'a', 'c', 'a'].forEach(id => runs.pick(id));
  assert.deepEqual(picked, [['b'], ['a', 'b'], ['a', 'c'], ['c']]);
  answers.push(async () => [recorded('a')]);
  await runs.read();
  assert.deepEqual(runs.picked, [], 'one that was removed');
});

test('what has not come to its end can be resumed', () => {
  const statuses = ['lost', 'stopped', 'done', 'running', 'failed'] as const;
  assert.deepEqual(
    statuses.map(status => resumable(recorded('a', { status }))),
    [true, true, false, false, true]
  );
});
