import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { due, type IOutput, Outputs, replaced } from '../src/outputs';
import { Searches } from '../src/searches';
import type { ISearch, IShown } from '../src/states';
import { FakeCell, FakeFeed, Later, search, settled } from './fakes';

function output(id: string, status: string, updated?: number): IOutput {
  return {
    output_type: 'display_data',
    data: { 'text/html': 'of the kernel' },
    metadata: { jupyter_scale: { search: id, status, updated } }
  };
}

function shown(of: ISearch): IShown {
  return { search: of, html: `<b>${of.updated}</b>`, text: of.status };
}

const STREAM: IOutput = { output_type: 'stream' };
const BUTTONS: IOutput = {
  output_type: 'display_data',
  data: { 'application/vnd.jupyter.widget-view+json': {} }
};

test('a search is shown in its cell when its outputs do not come here', () => {
  assert.ok(due(search('s'), new FakeCell()));
  assert.ok(due(search('s', { status: 'paused' }), new FakeCell()));
  const before = [output('s', 'running', 1)];
  assert.ok(
    due(search('s', { updated: 2 }), new FakeCell({ outputs: before }))
  );
});

test('nothing is touched where this page runs the cell', () => {
  const cell = new FakeCell({ connected: true });
  assert.ok(!due(search('s'), cell));
  cell.outputs = [output('s', 'running')];
  assert.ok(!due(search('s'), cell));
  assert.ok(!due(search('s', { status: 'done' }), cell), 'its end comes, too');
});

test('other cells, other kernels and cells without a name are not its place', () => {
  assert.ok(!due(search('s'), new FakeCell({ id: 'other' })));
  assert.ok(!due(search('s'), new FakeCell({ kernel: 'other' })));
  assert.ok(!due(search('s', { cell: '' }), new FakeCell({ id: '' })));
});

test('what is shown already is not asked for again', () => {
  const outputs = [output('s', 'running', 3)];
  const cell = new FakeCell({ outputs });
  assert.ok(!due(search('s', { updated: 3 }), cell));
  assert.ok(!due(search('s', { updated: 2 }), cell), 'events may be late');
});

test('the last of one that has ended replaces what says that it runs', () => {
  const cell = new FakeCell({ outputs: [output('s', 'running')] });
  assert.ok(due(search('s', { status: 'done' }), cell));
  assert.ok(!due(search('t', { status: 'done' }), cell), 'of that one only');
  cell.outputs = [output('s', 'done')];
  assert.ok(!due(search('s', { status: 'done' }), cell));
  cell.outputs = [];
  assert.ok(!due(search('s', { status: 'done' }), cell), 'it was cleared');
});

test('an interrupted one is told of in any notebook, also by the page that ran it', () => {
  const gone = search('s', { status: 'interrupted' });
  const outputs = [output('s', 'running')];
  const more = { kernel: 'new', connected: true, outputs };
  assert.ok(due(gone, new FakeCell(more)));
});

test('what else the cell has put out stays, dead buttons go', () => {
  const outputs = [STREAM, output('s', 'running'), BUTTONS, STREAM];
  const kept = replaced(new FakeCell({ outputs }), shown(search('s')));
  assert.deepEqual(
    kept.map(one => one.output_type),
    ['stream', 'display_data', 'stream']
  );
  assert.equal(kept[1]?.data?.['text/html'], '<b>1</b>');
  assert.deepEqual(kept[1]?.metadata, {
    jupyter_scale: { search: 's', status: 'running', updated: 1 }
  });
});

test('an earlier search of the cell goes', () => {
  const cell = new FakeCell({ outputs: [output('before', 'done'), STREAM] });
  const kept = replaced(cell, shown(search('s')));
  assert.deepEqual(
    kept.map(one => one.output_type),
    ['stream', 'display_data']
  );
});

test('nothing becomes trusted by standing next to it', () => {
  const outputs = [STREAM, output('s', 'running')];
  const cell = new FakeCell({ trusted: false, outputs });
  assert.equal(replaced(cell, shown(search('s'))).length, 1);
});

let feed: FakeFeed;
let cell: FakeCell;
let asked: Later<IShown>[];
let outputs: Outputs;

beforeEach(() => {
  feed = new FakeFeed();
  cell = new FakeCell();
  asked = [];
  const searches = new Searches(
    {
      searches: async () => [],
      shown: () => {
        const later = new Later<IShown>();
        asked.push(later);
        return later.promise;
      },
      act: async () => undefined,
      forget: async () => undefined
    },
    feed
  );
  outputs = new Outputs(searches, () => [cell]);
});

test('one request is in flight, and one more comes after it for all that changed', async () => {
  for (const updated of [1, 2, 3]) {
    feed.tell('searches', [search('s', { updated })]);
  }
  assert.equal(asked.length, 1);
  asked[0]?.resolve(shown(search('s', { updated: 1 })));
  await settled();
  assert.deepEqual([cell.shown, cell.count], [1, null]);
  assert.equal(asked.length, 2);
  asked[1]?.resolve(shown(search('s', { updated: 3 })));
  await settled();
  assert.equal(cell.outputs[0]?.data?.['text/html'], '<b>3</b>');
  assert.equal(asked.length, 2, 'until something changes');
});

test('a search that ends shows its end, once', async () => {
  feed.tell('searches', [search('s')]);
  asked[0]?.resolve(shown(search('s')));
  await settled();
  const end = search('s', { status: 'done', updated: 9 });
  feed.tell('searches', [end]);
  asked[1]?.resolve(shown(end));
  await settled();
  feed.tell('searches', [end]);
  assert.equal(cell.outputs[0]?.data?.['text/plain'], 'done');
  assert.equal(cell.count, 3);
  assert.equal(asked.length, 2);
});

test('a notebook that is opened later is looked at', async () => {
  cell.id = 'elsewhere';
  feed.tell('searches', [search('s')]);
  assert.equal(asked.length, 0);
  cell.id = 'cell';
  outputs.update();
  assert.equal(asked.length, 1);
});

test('an answer that comes too late is not shown', async () => {
  feed.tell('searches', [search('s')]);
  cell.connected = true; // the cell was run again, here
  asked[0]?.resolve(shown(search('s')));
  await settled();
  assert.equal(cell.shown, 0);
});

test('a request that fails is made again at the next change only', async () => {
  feed.tell('searches', [search('s')]);
  asked[0]?.reject(new Error('gone'));
  await settled();
  assert.equal(asked.length, 1);
  feed.tell('searches', [search('s', { updated: 2 })]);
  assert.equal(asked.length, 2);
});

test('nothing is shown when that is switched off, until it is on again', () => {
  outputs.isEnabled = false;
  feed.tell('searches', [search('s')]);
  assert.equal(asked.length, 0);
  outputs.isEnabled = true;
  assert.equal(asked.length, 1);
});
