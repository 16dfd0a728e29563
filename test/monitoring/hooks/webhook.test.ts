import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { HookMessage } from '../../../src/monitoring/hooks/hooks.ts';
import { webhook } from '../../../src/monitoring/hooks/webhook.ts';
import { temporaryFolder } from '../../fixtures/fake-daemon.ts';

const message: HookMessage = { event: 'operator-needed', class: 'operator-needed', at: '2026-03-01T12:00:00.000Z', host: 'tape', data: { barcode: '948324L8' } };
const never = new AbortController().signal;

interface Seen {
  readonly body: unknown;
  readonly headers: IncomingMessage['headers'];
}

/** A server that answers the n-th request by the n-th of `answers`, the last one for ever. */
async function server(t: ExecutionContext, ...answers: readonly ((response: ServerResponse) => void)[]): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const listening = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen.push({ body: JSON.parse(body), headers: request.headers });
      answers[Math.min(seen.length, answers.length) - 1]?.(response);
    });
  });
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    listening.closeAllConnections();
    listening.close();
  });
  return { url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}/hook`, seen };
}

const status = (code: number) => (response: ServerResponse) => void response.writeHead(code, code === 302 ? { location: '/elsewhere' } : {}).end('x');
const hookTo = (url: string, secretFile: string | null = null, timeoutMs = 60_000) => webhook({ url, secretFile, timeoutMs, retries: 2, pauseMs: 1 });

test('an event is posted as JSON, with the token of the secret file', async (t) => {
  const { url, seen } = await server(t, status(204));
  const secret = join(temporaryFolder(t), 'token');
  writeFileSync(secret, 'swordfish\n');
  await hookTo(url, secret).run(message, never);
  t.deepEqual(seen[0]?.body, message);
  t.like(seen[0]?.headers, { authorization: 'Bearer swordfish', 'content-type': 'application/json' });
});

test('a server that is busy is asked again, so many times', async (t) => {
  const { url, seen } = await server(t, status(503), status(429), status(200));
  await hookTo(url).run(message, never);
  t.is(seen.length, 3);
  const busy = await server(t, status(500));
  await t.throwsAsync(hookTo(busy.url).run(message, never), { message: 'it answered 500' });
  t.is(busy.seen.length, 3);
});

test('a server that refuses is not asked again, and no redirection is followed', async (t) => {
  const refusing = await server(t, status(404));
  await t.throwsAsync(hookTo(refusing.url).run(message, never), { message: 'it answered 404' });
  t.is(refusing.seen.length, 1);
  const moved = await server(t, status(302), status(200));
  await t.throwsAsync(webhook({ url: moved.url, secretFile: null, timeoutMs: 60_000, retries: 0 }).run(message, never), { message: /cannot be reached/ });
  t.is(moved.seen.length, 1);
});

test('a server that never answers is given up', async (t) => {
  const { url, seen } = await server(t, () => undefined);
  await t.throwsAsync(hookTo(url, null, 100).run(message, never), { code: 'ETIMEDOUT' });
  t.true(seen.length >= 1);
});

test('nobody listening, and a secret file that is not there, are failures that name no secret', async (t) => {
  await t.throwsAsync(hookTo('http://127.0.0.1:1/x').run(message, never), { message: /^it cannot be reached: / });
  await t.throwsAsync(hookTo('http://127.0.0.1:1/x', '/nowhere/token').run(message, never), { code: 'ENOENT' });
});

test('a secret that no header can hold is not shown, and not sent', async (t) => {
  const { url, seen } = await server(t, status(204));
  const secret = join(temporaryFolder(t), 'token');
  for (const content of ['swordfish\nmackerel\n', 'swordfisch\u00fc\u0142\n', '\n']) {
    writeFileSync(secret, content);
    const error = await t.throwsAsync(hookTo(url, secret).run(message, never), { code: 'CONFIG' });
    t.false(/sword|mackerel/.test(error.message), error.message);
  }
  t.deepEqual(seen, []);
});
