/** The control socket: takes requests from clients, asks a table of handlers, and keeps clients from harming the daemon. */
import { chmodSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { errorCode, exitCodes, HsmError, refusal } from '../errors.ts';
import { native } from '../native/index.ts';
import { version } from '../version.ts';
import { daemonAnswers } from './client.ts';
import { LineSplitter } from './lines.ts';
import { operatorGroup } from './operator-group.ts';
import { access, maxLine, type Method, type Progress, protocolVersion, type Response } from './protocol.ts';

/** Who is at the other end, as the kernel says (SO_PEERCRED, SO_PEERGROUPS). */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** One request as its handler sees it. */
export interface Call {
  readonly peer: Peer;
  /** True for root and members of the group `hsm`; a handler open to everyone shows others only what is theirs. */
  readonly operator: boolean;
  /** Aborted when the client asks to stop this request: finish the step at hand and resolve with what was done. */
  readonly cancelled: AbortSignal;
  /** Aborted when the client is gone, whether it asked for anything or not. */
  readonly gone: AbortSignal;
  /** Tells the client which job does its request, such as `j3`. */
  job(id: string): void;
  /** Dropped while the client is slow. */
  progress(progress: Progress): void;
  /**
   * Sends a row. Resolves at once, or when a slow client has read enough. A handler that must not wait for its client
   * ignores the promise: a client that lets 4 MiB pile up is then disconnected.
   */
  row(row: unknown): Promise<void>;
}

/** Resolves with the result, or fails with the error that the client gets. `params` is what the client sent: unchecked. */
export type Handler = (params: Readonly<Record<string, unknown>>, call: Call) => Promise<unknown>;
export type Handlers = { readonly [name in Method]?: Handler };

export interface ControlServerOptions {
  readonly path: string;
  readonly handlers: Handlers;
  /** Told about handlers that failed unexpectedly. */
  readonly onError?: (error: unknown, method: Method) => void;
  /** For tests; by default the kernel's answer for a connected socket's fd. */
  readonly credentials?: (fd: number) => Peer;
  /** For tests; by default the gid of the group `hsm` in /etc/group. */
  readonly operatorGid?: number | null;
}

export interface ControlServer {
  readonly path: string;
  /** Stops listening, aborts what runs, disconnects everybody and removes the socket file. */
  close(): Promise<void>;
}

const maxPending = 4 * 2 ** 20;
const maxProgressPending = 64 * 2 ** 10;
const maxRequestsInFlight = 32;
const otherUsers = { line: 2 ** 20, connections: 16 };
const sunPathMax = 107;

/**
 * Listens at `path`, mode 0666, in a folder that is made with mode 0755 if there is none. A socket file that nobody
 * answers on is replaced; a living daemon's is not: `REFUSED`, exit 5.
 */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { path } = options;
  if (Buffer.byteLength(path) > sunPathMax - 12) throw new HsmError('CONFIG', `socket path ${path} is too long for Linux: set a shorter one with socket = "..."`, { exit: exitCodes.usage, path });
  const folder = dirname(path);
  // The caller's umask must not lock other users out.
  if (mkdirSync(folder, { recursive: true }) !== undefined) chmodSync(folder, 0o755);
  const connections = new Connections(options);
  const server = createServer((socket) => connections.add(socket));
  const own = `${path}.${process.pid}`;
  rmSync(own, { force: true });
  await listen(server, own);
  try {
    chmodSync(own, 0o666);
    await takeName(own, path);
  } catch (error) {
    server.close();
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
  const inode = statSync(path).ino;
  return {
    path,
    async close() {
      // A successor's socket file may have got the inode number of ours.
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      connections.close();
      if (statSync(path, { throwIfNoEntry: false })?.ino === inode) rmSync(path, { force: true });
      await closed;
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Gives the socket file `own` the name `path` in one step that fails when somebody else has it: two daemons cannot both win. */
async function takeName(own: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt += 1) {
    try {
      linkSync(own, path);
      return;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    const stale = statSync(path, { throwIfNoEntry: false });
    if (stale === undefined) continue;
    if (!stale.isSocket()) throw refusal(`${path} exists and is not a socket: move it away, or set another socket in the config`, path);
    const other = await daemonAnswers(path);
    if (other !== null) throw refusal(`a daemon runs already (pid ${other.pid}) on ${path}`, path);
    removeExactly(path, stale.ino);
  }
  throw refusal(`another daemon is starting on ${path}`, path);
}

/** Removes `path` only if it still is the inode that was found dead; a newcomer's is put back. */
function removeExactly(path: string, inode: number): void {
  const aside = `${path}.${process.pid}.old`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (statSync(aside).ino !== inode) linkSync(aside, path);
  rmSync(aside, { force: true });
}

class Connections {
  readonly #options: ControlServerOptions;
  readonly #operatorGid: number | null;
  readonly #open = new Set<Connection>();

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#operatorGid = options.operatorGid === undefined ? operatorGroup() : options.operatorGid;
  }

  add(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    let peer: Peer;
    try {
      peer = (this.#options.credentials ?? ((fd) => native.peerCredentials(fd)))(fdOf(socket));
    } catch {
      socket.destroy();
      return;
    }
    const operator = peer.uid === 0 || (this.#operatorGid !== null && (peer.gid === this.#operatorGid || peer.groups.includes(this.#operatorGid)));
    if (!operator && [...this.#open].filter((each) => each.peer.uid === peer.uid).length >= otherUsers.connections) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, peer, operator, this.#options);
    this.#open.add(connection);
    socket.once('close', () => {
      this.#open.delete(connection);
      connection.end();
    });
  }

  close(): void {
    for (const each of this.#open) each.destroy();
  }
}

/** Node has no public way to ask for a socket's fd. */
function fdOf(socket: Socket): number {
  const handle = (socket as unknown as { _handle?: { fd?: number } })._handle;
  if (handle?.fd === undefined || handle.fd < 0) throw new HsmError('EBADF', 'a client went away');
  return handle.fd;
}

interface Running {
  readonly cancel: AbortController;
}

class Connection {
  readonly peer: Peer;
  readonly #socket: Socket;
  readonly #operator: boolean;
  readonly #options: ControlServerOptions;
  readonly #lines: LineSplitter;
  readonly #waiting: Buffer[] = [];
  readonly #running = new Map<number, Running>();
  readonly #gone = new AbortController();
  #drained: Promise<void> | null = null;

  constructor(socket: Socket, peer: Peer, operator: boolean, options: ControlServerOptions) {
    this.#socket = socket;
    this.peer = peer;
    this.#operator = operator;
    this.#options = options;
    this.#lines = new LineSplitter(operator ? maxLine : otherUsers.line);
    this.#write({ hsm: version, protocol: protocolVersion, pid: process.pid });
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The socket has closed. */
  end(): void {
    this.#waiting.length = 0;
    this.#gone.abort();
  }

  #receive(chunk: Buffer): void {
    try {
      this.#waiting.push(...this.#lines.push(chunk));
    } catch (error) {
      this.#refuse(0, error);
      this.#socket.end();
      return;
    }
    this.#startWaiting();
  }

  #startWaiting(): void {
    while (this.#waiting.length > 0 && this.#running.size < maxRequestsInFlight && !this.#gone.signal.aborted) {
      if (!this.#start(this.#waiting.shift() as Buffer)) {
        this.#waiting.length = 0;
        this.#socket.end();
        return;
      }
    }
    if (this.#waiting.length > 0) this.#socket.pause();
    else this.#socket.resume();
  }

  /** False when the line was no request and nothing after it can be trusted. */
  #start(line: Buffer): boolean {
    if (line.length === 0) return true;
    const request = parseRequest(line);
    if (request === null) {
      this.#refuse(0, new HsmError('BAD_REQUEST', 'this is not a request: see docs/protocol.md'));
      return false;
    }
    const { id, method, params } = request;
    if (this.#running.has(id)) {
      this.#refuse(id, new HsmError('BAD_REQUEST', `request ${id} is still being answered`));
      return false;
    }
    if (method === 'cancel' && typeof params['request'] === 'number') {
      const target = this.#running.get(params['request']);
      target?.cancel.abort();
      this.#write({ id, result: { cancelled: target === undefined ? 0 : 1 } });
      return true;
    }
    const handler = Object.hasOwn(access, method) ? this.#options.handlers[method as Method] : undefined;
    if (handler === undefined) {
      this.#refuse(id, new HsmError('UNKNOWN_METHOD', `this daemon (hsm ${version}) knows no method '${method.slice(0, 40)}'`));
      return true;
    }
    if (access[method as Method] === 'operators' && !this.#operator) {
      this.#refuse(id, new HsmError('EPERM', `only root and members of the group hsm may use '${method}'`));
      return true;
    }
    void this.#run(id, method as Method, handler, params);
    return true;
  }

  async #run(id: number, method: Method, handler: Handler, params: Readonly<Record<string, unknown>>): Promise<void> {
    const running = { cancel: new AbortController() };
    this.#running.set(id, running);
    try {
      const result = await handler(params, this.#call(id, running));
      this.#write({ id, result: result ?? null });
    } catch (error) {
      if (!(error instanceof HsmError)) this.#options.onError?.(error, method);
      this.#refuse(id, error);
    } finally {
      this.#running.delete(id);
      this.#startWaiting();
    }
  }

  #call(id: number, running: Running): Call {
    return {
      peer: this.peer,
      operator: this.#operator,
      cancelled: running.cancel.signal,
      gone: this.#gone.signal,
      job: (job) => this.#write({ id, job }),
      progress: (progress) => {
        if (this.#socket.writableLength < maxProgressPending) this.#write({ id, progress });
      },
      row: (row) => {
        this.#write({ id, row });
        return this.#room();
      },
    };
  }

  #room(): Promise<void> {
    if (!this.#socket.writableNeedDrain || this.#socket.destroyed) return Promise.resolve();
    this.#drained ??= new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        this.#drained = null;
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
    return this.#drained;
  }

  #refuse(id: number, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const expected = error instanceof HsmError ? error : null;
    const path = expected?.path;
    this.#write({ id, error: { code: errorCode(error), message, ...(path === undefined ? {} : { path }), exit: expected?.exit ?? exitCodes.failed } });
  }

  #write(line: Response | { readonly hsm: string; readonly protocol: number; readonly pid: number }): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    if (this.#socket.writableLength > maxPending) {
      this.#socket.destroy();
      return;
    }
    this.#socket.write(`${JSON.stringify(line)}\n`);
  }
}

function parseRequest(line: Buffer): { id: number; method: string; params: Readonly<Record<string, unknown>> } | null {
  let value: unknown;
  try {
    value = JSON.parse(line.toString());
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { id, method, params } = value as Record<string, unknown>;
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 1 || typeof method !== 'string') return null;
  if (params === undefined) return { id, method, params: {} };
  if (typeof params !== 'object' || params === null || Array.isArray(params)) return null;
  return { id, method, params: params as Readonly<Record<string, unknown>> };
}
