import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { ExportForm, ExportForms, quoted } from '../src/exportform';
import { Exports } from '../src/exports';
import { exported, FakeFeed, finding, settled } from './fakes';

let form: ExportForm;
let changes: number;

beforeEach(() => {
  form = new ExportForm('my analysis.ipynb');
  changes = 0;
  form.changed.connect(() => (changes += 1));
});

test('the line says what is filled in, and nothing that is usual', () => {
  assert.equal(form.line(false), "%scale export 'my analysis-repo'");
  form.set({ folder: ' out ', verify: false, thebe: true, kubernetes: true });
  form.set({ binder: 'https://github.com/a/b', others: '--source x=y' });
  assert.equal(
    form.line(true),
    '%scale export out --thebe --kubernetes --binder https://github.com/a/b --no-verify --source x=y --plan'
  );
  assert.equal(changes, 2);
});

test('a finding is accepted by its id, a warning with all others too', () => {
  const [secret, luck] = [
    finding('secret:cell-1:1', { level: 'blocker' }),
    finding('nondeterminism:cell-2')
  ];
  form.set({ folder: 'out' });
  form.accept(secret.id, true);
  form.accept(secret.id, true);
  assert.deepEqual([form.accepts(secret), form.accepts(luck)], [true, false]);
  form.set({ yes: true });
  assert.equal(form.accepts(luck), true);
  assert.equal(
    form.line(false),
    '%scale export out --yes --accept secret:cell-1:1'
  );
  form.accept(secret.id, false);
  assert.equal(form.accepts(secret), false);
});

test('words are quoted as the reader of the line takes them', () => {
  assert.deepEqual(['~/out', 'a b', "it's", 'é'].map(quoted), [
    '~/out',
    "'a b'",
    `'it'"'"'s'`,
    "'é'"
  ]);
});

test('what a cell would read as something else is refused', () => {
  assert.equal(form.problem, '');
  for (const folder of ['a{b}', '$HOME/out', 'a\nb']) {
    form.set({ folder });
    assert.equal(form.problem, 'not plain');
  }
  form.set({ folder: ' ' });
  assert.equal(form.problem, 'no folder');
  assert.equal(new ExportForm('{x}$.ipynb').problem, '');
});

test('a page that comes later has what was asked for, unless one fills it in', () => {
  const { options } = exported('e', {
    folder: 'there',
    accept: ['unrun'],
    kubernetes: true,
    name: 'me/image:1',
    course: true,
    sources: [['x.csv', 'https://a/x.csv']]
  });
  form.take(options);
  assert.equal(
    form.line(false),
    '%scale export there --accept unrun --course --kubernetes me/image:1 --source x.csv=https://a/x.csv'
  );
  form.set({ folder: 'mine' });
  form.take(options);
  assert.equal(form.wanted.folder, 'mine');
});

test('each kernel has its form, and its last export', async () => {
  const forms = new ExportForms();
  assert.equal(forms.of('a', 'a.ipynb'), forms.of('a', 'b.ipynb'));
  assert.notEqual(forms.of('a', 'a.ipynb'), forms.of('b', 'b.ipynb'));

  const feed = new FakeFeed();
  const dismissed: string[] = [];
  const exports = new Exports(
    {
      exports: async () => [exported('one', {}, { kernel: 'a' })],
      dismiss: async id => void dismissed.push(id)
    },
    feed
  );
  feed.connected.emit(true);
  await settled();
  assert.equal(exports.of('a')?.id, 'one');
  const next = exported('two', {}, { kernel: 'a', status: 'running' });
  feed.tell('exports', [next], ['one']);
  assert.deepEqual(exports.items, [next]);
  await exports.dismiss('two');
  assert.deepEqual([dismissed, exports.of('a')], [['two'], undefined]);
});

test('it is said that the cell waits, also when it fails', async () => {
  const seen: boolean[] = [];
  form.changed.connect(() => seen.push(form.isWaiting));
  await assert.rejects(form.during(() => Promise.reject(new Error('no'))));
  assert.deepEqual(seen, [true, false]);
});
