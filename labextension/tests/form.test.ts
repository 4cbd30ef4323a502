import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { byStep, Form, Forms, type IFound, kept } from '../src/form';
import { FakeKernel, parameter, settled } from './fakes';

const FOUND: IFound = {
  estimators: [
    { name: 'svc', kind: 'SVC', parameters: [parameter('C', 'SVC')] },
    {
      name: 'pipe',
      kind: 'Pipeline',
      parameters: [
        parameter('scale__with_mean', 'scale: StandardScaler', ['True']),
        parameter('svc__C', 'svc: SVC', ['0.1', '1.0', '10.0']),
        parameter('svc__kernel', 'svc: SVC', ["'rbf'"])
      ]
    }
  ],
  data: [
    { name: 'words', words: '3 str list' },
    { name: 'X', words: '150 x 4 ndarray' },
    { name: 'y', words: '150 ndarray' }
  ],
  scorers: ['accuracy', 'f1']
};
const PLAN = {
  problems: {},
  code: '%%scale\nsearch.fit(X, y)',
  cells: 6,
  fits: 6,
  fits_saved: 2,
  notes: ['svc: 6 fits']
};

let kernel: FakeKernel;
let form: Form;

/** Do what a form asks a kernel for, and answer it. */
async function answered(asking: Promise<void>, value: unknown): Promise<void> {
  await settled();
  kernel.answer(value);
  await asking;
}

/** What the kernel was asked to plan last. */
function planned(): unknown {
  const inner = /proposed\((.*)\)$/s.exec(String(kernel.asked.at(-1)))?.[1];
  return JSON.parse(JSON.parse(inner ?? '""') as string);
}

beforeEach(async () => {
  kernel = new FakeKernel();
  form = new Form();
  await answered(form.look(kernel), FOUND);
});

test('a kernel is asked in silence, and only on request', () => {
  const fresh = new FakeKernel();
  new Form().set({ cv: 3 });
  assert.equal(fresh.asked.length, 0);
  assert.deepEqual(kernel.asked, [
    '__import__("jupyter_scale.launch", fromlist=["_"]).found()'
  ]);
  const [content] = kernel.contents;
  assert.deepEqual(
    [content?.code, content?.silent, content?.store_history],
    ['', true, false]
  );
});

test('what is likely is filled in', () => {
  const { estimator, X, y, cv, scoring } = form.asked;
  assert.deepEqual([estimator, X, y, cv, scoring], ['pipe', 'X', 'y', 5, '']);
});

test('what was filled in stays when it is looked at again, where it is there', async () => {
  form.tick('svc__C', true);
  form.set({ y: '', scoring: 'f1' });
  await answered(form.look(kernel), { ...FOUND, scorers: ['accuracy'] });
  assert.equal(form.asked.y, '', 'none was picked');
  assert.equal(form.asked.scoring, '');
  assert.deepEqual(form.asked.grid, { svc__C: '0.1, 1.0, 10.0' });
  await answered(form.look(kernel), {
    ...FOUND,
    estimators: FOUND.estimators.slice(0, 1)
  });
  assert.equal(form.asked.estimator, 'svc');
  assert.deepEqual(form.asked.grid, {});
});

test('the part for training is preferred', () => {
  const names = ['X', 'y', 'X_train', 'X_test', 'y_train', 'y_test'];
  const data = names.map(name => ({ name, words: '9 x 2 ndarray' }));
  const { X, y } = kept(new Form().asked, { ...FOUND, data });
  assert.deepEqual([X, y], ['X_train', 'y_train']);
});

test('a ticked parameter has the values that are suggested, and another estimator none of it', () => {
  form.tick('svc__C', true);
  assert.deepEqual(form.asked.grid, { svc__C: '0.1, 1.0, 10.0' });
  form.type('svc__C', '3');
  form.tick('svc__kernel', true);
  form.tick('svc__kernel', false);
  assert.deepEqual(form.asked.grid, { svc__C: '3' });
  form.set({ estimator: 'svc' });
  assert.deepEqual(form.asked.grid, {});
});

test('a plan is asked for with all that is filled in, quotes and all', async () => {
  form.tick('svc__kernel', true);
  form.type('svc__kernel', '\'rbf\', "\\n"');
  form.set({ cv: 3, scoring: 'f1' });
  await answered(form.propose(kernel), PLAN);
  assert.deepEqual(planned(), {
    estimator: 'pipe',
    X: 'X',
    y: 'y',
    grid: { svc__kernel: '\'rbf\', "\\n"' },
    cv: 3,
    scoring: 'f1'
  });
  assert.equal(form.plan?.fits_saved, 2);
  assert.deepEqual(form.problems, {});
});

test('a change drops the plan, and the problem of its field alone', async () => {
  await answered(form.propose(kernel), PLAN);
  form.set({ cv: 4 });
  assert.equal(form.plan, null);
  form.tick('svc__C', true);
  const problems = { svc__C: 'bad', y: 'gone', '': 'all of it' };
  await answered(form.propose(kernel), { problems });
  assert.deepEqual([form.problems, form.plan], [problems, null]);
  form.type('svc__C', '1');
  assert.deepEqual(form.problems, { y: 'gone' });
});

test('a plan of what has changed meanwhile is not taken', async () => {
  const asking = form.propose(kernel);
  form.set({ cv: 9 });
  await answered(asking, PLAN);
  assert.deepEqual([form.plan, form.waiting], [null, '']);
});

test('one request at a time', async () => {
  const asking = form.propose(kernel);
  await form.look(kernel);
  assert.equal(form.waiting, 'plan');
  await answered(asking, PLAN);
  assert.equal(kernel.asked.length, 2);
});

test('a busy kernel is said to be, until it answers', async () => {
  kernel.status = 'busy';
  const asking = form.look(kernel);
  assert.deepEqual([form.waiting, form.isBusy], ['found', true]);
  await answered(asking, FOUND);
  assert.equal(form.waiting, '');
});

test('no kernel, or a dead one, is not asked', async () => {
  await form.look(null);
  assert.equal(form.trouble?.reason, 'none');
  kernel.status = 'dead';
  await form.look(kernel);
  assert.equal(form.trouble?.reason, 'dead');
  assert.equal(kernel.asked.length, 1);
  assert.ok(form.found, 'what was found stays to be seen');
});

for (const [reason, act] of [
  ['gone', () => kernel.reject(new Error('Canceled future'))],
  ['skipped', () => kernel.reply({ status: 'aborted' })],
  ['foreign', () => kernel.reply({ status: 'ok', user_expressions: {} })],
  [
    'missing',
    () => kernel.fail('ModuleNotFoundError', "No module named 'jupyter_scale'")
  ],
  ['failed', () => kernel.fail('ModuleNotFoundError', "No module named 'x'")]
] as [string, () => void][]) {
  test(`no answer, and why: ${reason}`, async () => {
    const asking = form.look(kernel);
    act();
    await asking;
    assert.deepEqual([form.trouble?.reason, form.waiting], [reason, '']);
    form.set({ cv: 2 });
    assert.equal(form.trouble, null);
  });
}

test('parameters are found by text, by step, and stay while they are ticked', () => {
  const all = FOUND.estimators[1]?.parameters ?? [];
  const names = (text: string, grid = {}): string[][] =>
    byStep(all, text, grid).map(([step, ones]) => [
      step,
      ...ones.map(one => one.name)
    ]);
  assert.deepEqual(names(''), [
    ['scale: StandardScaler', 'scale__with_mean'],
    ['svc: SVC', 'svc__C', 'svc__kernel']
  ]);
  assert.deepEqual(names('SVC kern'), [['svc: SVC', 'svc__kernel']]);
  assert.deepEqual(names('mean', { svc__C: '1' }), [
    ['scale: StandardScaler', 'scale__with_mean'],
    ['svc: SVC', 'svc__C']
  ]);
});

test('each kernel has a form of its own', () => {
  const forms = new Forms();
  forms.of('a').set({ cv: 3 });
  assert.equal(forms.of('b').asked.cv, 5);
  assert.equal(forms.of('a').asked.cv, 3);
});
