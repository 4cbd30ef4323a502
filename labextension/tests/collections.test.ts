import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Choices } from '../src/choices';
import { Clusters } from '../src/clusters';
import { Searches } from '../src/searches';
import type { ICluster, IProfiles } from '../src/states';
import { cluster, FakeFeed, Later, search, settled } from './fakes';

const PROFILES: IProfiles = { default: 'local', profiles: [], error: '' };

let feed: FakeFeed;
let answers: (() => Promise<ICluster[]>)[];
let reads: number;
let clusters: Clusters;

function ids(): string[] {
  return clusters.items.map(item => item.id);
}

beforeEach(() => {
  feed = new FakeFeed();
  answers = [];
  reads = 0;
  clusters = new Clusters(
    {
      profiles: async () => PROFILES,
      clusters: () => {
        reads += 1;
        return answers.shift()?.() ?? Promise.resolve([]);
      },
      start: async profile => cluster('new', { profile, state: 'starting' }),
      resize: async () => '3 workers',
      close: async () => undefined
    },
    feed
  );
});

test('nothing is asked before the page connects', async () => {
  await settled();
  assert.equal(reads, 0);
  assert.equal(clusters.ready, false);
});

test('what is there is read once, then events keep it', async () => {
  answers.push(async () => [cluster('a', { created: 1 })]);
  feed.connected.emit(true);
  await settled();
  assert.deepEqual(ids(), ['a']);
  feed.tell('clusters', [cluster('b', { created: 2 })]);
  assert.deepEqual(ids(), ['b', 'a'], 'the newest is first');
  feed.tell('clusters', [cluster('a', { created: 1, present: 7 })]);
  assert.equal(clusters.get('a')?.present, 7);
  feed.tell('clusters', [], ['b']);
  assert.deepEqual(ids(), ['a']);
  assert.equal(reads, 1);
});

test('events of other kinds change nothing', async () => {
  feed.connected.emit(true);
  await settled();
  let emitted = 0;
  clusters.changed.connect(() => (emitted += 1));
  feed.tell('searches', [search('s')]);
  assert.deepEqual([ids(), emitted], [[], 0]);
});

test('all is read again after the connection was lost', async () => {
  answers.push(async () => [cluster('a'), cluster('gone')]);
  feed.connected.emit(true);
  await settled();
  answers.push(() => Promise.reject(new Error('the server does not answer')));
  feed.connected.emit(false);
  await settled();
  assert.equal(clusters.error, 'the server does not answer');
  assert.deepEqual(ids(), ['a', 'gone'], 'what was known stays to be seen');
  answers.push(async () => [cluster('a')]);
  feed.connected.emit(true);
  await settled();
  assert.deepEqual([ids(), clusters.error], [['a'], '']);
});

test('an event that comes during the reading is newer', async () => {
  const slow = new Later<ICluster[]>();
  answers.push(() => slow.promise);
  feed.connected.emit(true);
  await settled();
  feed.tell('clusters', [cluster('a', { present: 2 })], ['b']);
  slow.resolve([cluster('a', { present: 1 }), cluster('b')]);
  await settled();
  assert.deepEqual(ids(), ['a']);
  assert.equal(clusters.get('a')?.present, 2);
});

test('a slow reading does not undo a later one', async () => {
  const slow = new Later<ICluster[]>();
  answers.push(
    () => slow.promise,
    async () => [cluster('new')]
  );
  feed.connected.emit(true);
  await settled();
  feed.connected.emit(true);
  await settled();
  slow.resolve([cluster('old')]);
  await settled();
  assert.deepEqual(ids(), ['new']);
});

test('a cluster that starts is there at once, and an event that was quicker stays', async () => {
  await clusters.start('local', null, '');
  assert.equal(clusters.get('new')?.state, 'starting');
  feed.tell('clusters', [cluster('new')]);
  await clusters.start('local', null, '');
  assert.equal(clusters.get('new')?.state, 'running');
});

test('the note of one that ended goes at once, one that runs stays until it has closed', async () => {
  feed.tell('clusters', [cluster('a'), cluster('b', { state: 'failed' })]);
  await clusters.close('b');
  await clusters.close('a');
  assert.deepEqual(ids(), ['a']);
});

test('nothing is emitted after the end', () => {
  let emitted = 0;
  clusters.changed.connect(() => (emitted += 1));
  clusters.dispose();
  feed.tell('clusters', [cluster('a')]);
  feed.connected.emit(true);
  assert.deepEqual([emitted, reads], [0, 0]);
});

test('searches that go on come first, then the latest', () => {
  const searches = new Searches(
    {
      searches: async () => [],
      shown: () => Promise.reject(new Error()),
      act: async () => undefined,
      forget: async () => undefined
    },
    feed
  );
  feed.tell('searches', [
    search('old', { status: 'done', started: 1 }),
    search('paused', { status: 'paused', started: 2 }),
    search('late', { status: 'failed', started: 3 })
  ]);
  const found = searches.items.map(item => item.id);
  assert.deepEqual(found, ['paused', 'late', 'old']);
});

test('a choice is asked for once, and events keep it', async () => {
  const asked: string[] = [];
  const choices = new Choices(
    {
      choice: async kernel => {
        asked.push(kernel);
        return 'local-1';
      },
      choose: async () => undefined
    },
    feed
  );
  assert.equal(choices.of('k'), '');
  choices.of('k');
  await settled();
  assert.equal(choices.of('k'), 'local-1');
  assert.deepEqual(asked, ['k']);
  feed.tell('choices', [{ id: 'k', cluster: 'local-2' } as { id: string }]);
  assert.equal(choices.of('k'), 'local-2');
  feed.tell('choices', [], ['k']);
  assert.equal(choices.of('k'), '');
  await choices.choose('k', 'local-3');
  assert.equal(choices.of('k'), 'local-3');
  feed.connected.emit(true);
  await settled();
  assert.equal(choices.of('k'), 'local-1', 'read again with the connection');
});
