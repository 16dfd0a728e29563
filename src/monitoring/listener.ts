/** Serves the metrics as HTTP, on a Unix socket and on a port. Its failures are logged; they never stop the daemon. */
import { chmodSync, chownSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Log } from '../recall/recaller-options.ts';

export interface ListenerOptions {
  readonly socket: string;
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** Its members may read the socket, besides root; null: nobody else may. */
  readonly gid: number | null;
  readonly exposition: { readonly contentType: string; text(): Promise<string> };
  readonly log: Log;
}

export interface MetricsListener {
  close(): void;
}

const mostConnections = 32;
const idleMs = 10_000;

export async function listenForScrapes({ socket, listen, gid, exposition, log }: ListenerOptions): Promise<MetricsListener> {
  const accept = acceptor(handlerOf(exposition, log));
  const closers: (() => void)[] = [];
  const open = async (what: string, opening: () => Promise<() => void>): Promise<void> => {
    try {
      closers.push(await opening());
    } catch (error) {
      log.error({ error, listen: what }, 'metrics cannot be served there');
    }
  };
  await open(socket, () => onSocket(socket, gid, accept));
  if (listen !== null) await open(`${listen.host}:${listen.port}`, () => onPort(listen, accept));
  return {
    close: () => {
      for (const close of closers.splice(0)) close();
    },
  };
}

/** A socket file that is there is replaced: who has the control socket of this state folder has this one. */
async function onSocket(path: string, gid: number | null, accept: (socket: Socket) => void): Promise<() => void> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() === false) throw new Error(`${path} exists and is not a socket`);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const own = `${path}.${process.pid}`;
  rmSync(own, { force: true });
  const server = await listening(accept, { path: own });
  try {
    if (gid !== null) chownSync(own, 0, gid);
    chmodSync(own, 0o660);
    renameSync(own, path);
  } catch (error) {
    server.close();
    rmSync(own, { force: true });
    throw error;
  }
  const { ino } = statSync(path);
  return () => {
    server.close();
    if (statSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
  };
}

async function onPort(address: { readonly host: string; readonly port: number }, accept: (socket: Socket) => void): Promise<() => void> {
  const server = await listening(accept, address);
  return () => void server.close();
}

function listening(accept: (socket: Socket) => void, where: { readonly path: string } | { readonly host: string; readonly port: number }): Promise<Server> {
  const server = createServer(accept);
  server.maxConnections = mostConnections;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...where, readableAll: false }, () => {
      server.off('error', reject);
      resolve(server);
    });
    // Neither keeps a daemon from ending that has nothing else to do.
    server.unref();
  });
}

/** HTTP is loaded by the first connection, for the same reason as prom-client. */
function acceptor(handler: RequestListener): (socket: Socket) => void {
  let http: Promise<{ emit(event: 'connection', socket: Socket): boolean }> | null = null;
  return (socket) => {
    socket.on('error', () => socket.destroy());
    socket.setTimeout(idleMs, () => socket.destroy());
    socket.unref();
    http ??= import('node:http').then(({ createServer: createHttpServer }) => createHttpServer({ keepAliveTimeout: idleMs, maxHeaderSize: 8192 }, handler));
    void http.then((server) => server.emit('connection', socket));
  };
}

function handlerOf(exposition: ListenerOptions['exposition'], log: Log): RequestListener {
  return (request, response) => {
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return void response.writeHead(405, { allow: 'GET, HEAD' }).end();
    if (path !== '/metrics') return void response.writeHead(path === '/' ? 200 : 404, { 'content-type': 'text/plain' }).end(path === '/' ? 'hsm: see /metrics\n' : '');
    exposition.text().then(
      (text) => response.writeHead(200, { 'content-type': exposition.contentType, 'content-length': Buffer.byteLength(text) }).end(request.method === 'HEAD' ? undefined : text),
      (error: unknown) => {
        log.error({ error }, 'the metrics could not be gathered');
        response.writeHead(500, { 'content-type': 'text/plain' }).end('the metrics could not be gathered: see the log\n');
      },
    );
  };
}
