import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ServerConnection } from '@jupyterlab/services';

import { RequestError, Requests } from '../src/requests';

interface ISent {
  url: string;
  method: string;
  body: unknown;
}

/** Requests to a server that gives one answer. */
function server(answer: () => Response): { requests: Requests; sent: ISent[] } {
  const sent: ISent[] = [];
  const settings = ServerConnection.makeSettings({
    baseUrl: 'http://server/base/',
    fetch: async (input: RequestInfo | URL) => {
      const request = input as Request;
      const text = await request.text();
      sent.push({
        url: request.url.replace(/\?.*/, ''),
        method: request.method,
        body: text ? JSON.parse(text) : null
      });
      return answer();
    }
  });
  return { requests: new Requests(settings), sent };
}

function json(body: object, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}

test('paths, methods and bodies are those of the contract', async () => {
  const { requests, sent } = server(() =>
    json({ words: 'so it is', cluster: 'c', runs: [], html: '<p>' })
  );
  await requests.start('local', { workers: 3 }, 'a.ipynb');
  await requests.start('local', null, '');
  assert.equal(
    await requests.resize('c', { adapt: { minimum: 0, maximum: 2 } }),
    'so it is'
  );
  await requests.choose('k', 'c');
  await requests.act('a/b', 'stop');
  assert.deepEqual(await requests.runs(), []);
  assert.equal(await requests.page('a', 'b'), '<p>');
  const url = 'http://server/base/jupyter-scale';
  assert.deepEqual(sent, [
    {
      url: `${url}/clusters`,
      method: 'POST',
      body: { profile: 'local', workers: 3, notebook: 'a.ipynb' }
    },
    { url: `${url}/clusters`, method: 'POST', body: { profile: 'local' } },
    {
      url: `${url}/clusters/c`,
      method: 'PATCH',
      body: { adapt: { minimum: 0, maximum: 2 } }
    },
    { url: `${url}/choices/k`, method: 'PUT', body: { cluster: 'c' } },
    { url: `${url}/searches/a%2Fb`, method: 'POST', body: { action: 'stop' } },
    { url: `${url}/runs`, method: 'GET', body: null },
    { url: `${url}/runs/a/b`, method: 'GET', body: null }
  ]);
});

test('an empty answer is no error', async () => {
  const { requests } = server(() => new Response(null, { status: 204 }));
  assert.equal(await requests.close('c'), undefined);
});

for (const [name, answer, message] of [
  [
    'its own words',
    () => json({ message: 'no such cluster' }, 404),
    /^no such/
  ],
  [
    'the status of a page that is not its own',
    () => new Response('<html>', { status: 502, statusText: 'Bad Gateway' }),
    /answers 502 Bad Gateway$/
  ],
  [
    'the network',
    () => {
      throw new TypeError('failed to fetch');
    },
    /does not answer: see/
  ]
] as [string, () => Response, RegExp][]) {
  test(`an error is one line: ${name}`, async () => {
    const { requests } = server(answer);
    await assert.rejects(requests.close('c'), (error: unknown) => {
      assert.ok(error instanceof RequestError);
      assert.match(error.message, message);
      return !error.message.includes('\n');
    });
  });
}

test('a server without the extension is told apart from a thing that is not there', async () => {
  const { requests } = server(() => json({ message: 'Not Found' }, 404));
  await assert.rejects(requests.clusters(), /jupyter server extension enable/);
});
