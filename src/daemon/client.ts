/** Talks to the daemon over its control socket. */
import { connect as connectSocket, type Socket } from 'node:net';
import { errorCode, type ExitCode, exitCodes, HsmError } from '../errors.ts';
import { LineSplitter } from './lines.ts';
import { type Hello, maxLine, type Method, type Progress, protocolVersion } from './protocol.ts';

export interface Listeners {
  readonly row?: (row: unknown) => void;
  readonly progress?: (progress: Progress) => void;
  readonly job?: (id: string) => void;
}

export interface Started {
  /** Fails with the server's error, or `NO_DAEMON` (exit 4) when the connection ends first. */
  readonly result: Promise<unknown>;
  /** Asks the server to stop this request; `result` then resolves with what was done. */
  cancel(): Promise<void>;
}

export interface Client {
  readonly hello: Hello;
  start(method: Method, params?: Readonly<Record<string, unknown>>, listeners?: Listeners): Started;
  /** Sends one request and waits for its result. */
  call(method: Method, params?: Readonly<Record<string, unknown>>, listeners?: Listeners): Promise<unknown>;
  /** Sends one request and resolves with its rows. */
  rows(method: Method, params?: Readonly<Record<string, unknown>>): Promise<unknown[]>;
  close(): void;
}

const helloTimeoutMs = 30_000;

/** Connects and waits for the server's greeting. Fails with `NO_DAEMON` (exit 4) when nobody answers, `PROTOCOL` when it speaks another version. */
export async function connect(path: string, timeoutMs = helloTimeoutMs): Promise<Client> {
  const connection = new Connection(path);
  const hello = await connection.hello(timeoutMs);
  if (hello.protocol !== protocolVersion) {
    connection.close();
    throw new HsmError('PROTOCOL', `the daemon is hsm ${hello.hsm} and speaks protocol ${hello.protocol}, not ${protocolVersion}: restart it with this version`);
  }
  return {
    hello,
    start: (method, params, listeners) => connection.start(method, params, listeners),
    call: (method, params, listeners) => connection.start(method, params, listeners).result,
    async rows(method, params) {
      const rows: unknown[] = [];
      await connection.start(method, params, { row: (row) => rows.push(row) }).result;
      return rows;
    },
    close: () => connection.close(),
  };
}

/** Connects, hands the client to `use`, and closes it whatever happens. */
export async function withClient<T>(path: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect(path);
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/**
 * The greeting of the daemon that answers on `path`, or null when none does. A socket that accepts but stays silent counts as
 * a daemon (pid 0): it is alive, only busy.
 */
export async function daemonAnswers(path: string, timeoutMs = 5000): Promise<Hello | null> {
  const connection = new Connection(path);
  try {
    return await connection.hello(timeoutMs);
  } catch {
    return connection.connected ? { hsm: 'unknown', protocol: 0, pid: 0 } : null;
  } finally {
    connection.close();
  }
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: HsmError) => void;
  readonly listeners: Listeners;
}

class Connection {
  connected = false;
  readonly #path: string;
  readonly #socket: Socket;
  readonly #lines = new LineSplitter(maxLine);
  readonly #waiting = new Map<number, Waiting>();
  readonly #hello = Promise.withResolvers<Hello>();
  #greeted = false;
  #lastId = 0;
  #ended: HsmError | null = null;

  constructor(path: string) {
    this.#path = path;
    this.#hello.promise.catch(() => undefined);
    this.#socket = connectSocket(path);
    this.#socket.on('connect', () => {
      this.connected = true;
    });
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('error', (error) => this.#end(unreachable(path, error)));
    this.#socket.on('close', () => this.#end(new HsmError('NO_DAEMON', `the daemon at ${path} went away: see its log, start it again with 'hsm daemon'`, { exit: exitCodes.noDaemon })));
  }

  async hello(timeoutMs: number): Promise<Hello> {
    const timer = setTimeout(() => {
      this.#end(new HsmError('NO_DAEMON', `the daemon at ${this.#path} does not answer: see its log`, { exit: exitCodes.noDaemon }));
    }, timeoutMs);
    try {
      return await this.#hello.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  start(method: Method, params: Readonly<Record<string, unknown>> = {}, listeners: Listeners = {}): Started {
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise: result, resolve, reject } = Promise.withResolvers<unknown>();
    const cancel = async (): Promise<void> => {
      await this.start('cancel', { request: id }).result;
    };
    const line = `${JSON.stringify({ id, method, params })}\n`;
    if (this.#ended !== null) reject(this.#ended);
    else if (Buffer.byteLength(line) > maxLine) reject(new HsmError('USAGE', 'too many paths for one request: name their directory, or split the list', { exit: exitCodes.usage }));
    else {
      this.#waiting.set(id, { resolve, reject, listeners });
      this.#socket.write(line);
    }
    return { result, cancel };
  }

  close(): void {
    this.#end(new HsmError('CLOSED', 'the connection was closed'));
  }

  #receive(chunk: Buffer): void {
    let messages: Record<string, unknown>[];
    try {
      messages = this.#lines.push(chunk).map((line) => JSON.parse(line.toString()) as Record<string, unknown>);
    } catch (error) {
      this.#end(this.#stranger(error));
      return;
    }
    for (const message of messages) this.#take(message);
  }

  #stranger(cause?: unknown): HsmError {
    return new HsmError('PROTOCOL', `what answers at ${this.#path} is not an hsm daemon`, { path: this.#path, cause });
  }

  #take(message: Record<string, unknown>): void {
    if (!this.#greeted) {
      if (typeof message?.['protocol'] !== 'number') {
        this.#end(this.#stranger());
        return;
      }
      this.#greeted = true;
      this.#hello.resolve(message as unknown as Hello);
      return;
    }
    if (message['id'] === 0 && 'error' in message) {
      this.#end(errorFromWire(message['error']));
      return;
    }
    const id = message['id'] as number;
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    if ('row' in message) waiting.listeners.row?.(message['row']);
    else if ('progress' in message) waiting.listeners.progress?.(message['progress'] as Progress);
    else if ('job' in message) waiting.listeners.job?.(String(message['job']));
    else {
      this.#waiting.delete(id);
      if ('error' in message) waiting.reject(errorFromWire(message['error']));
      else waiting.resolve(message['result']);
    }
  }

  #end(error: HsmError): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#hello.reject(error);
    for (const each of this.#waiting.values()) each.reject(error);
    this.#waiting.clear();
    this.#socket.destroy();
  }
}

function unreachable(path: string, error: Error): HsmError {
  const code = errorCode(error);
  if (code === 'EACCES' || code === 'EPERM') return new HsmError('EACCES', `no access to the daemon's socket ${path}: check the permissions of its folder`, { path, cause: error });
  return new HsmError('NO_DAEMON', `no daemon answers at ${path}: start one with 'hsm daemon'`, { exit: exitCodes.noDaemon, cause: error });
}

const knownExits: ReadonlySet<unknown> = new Set(Object.values(exitCodes));

function errorFromWire(value: unknown): HsmError {
  const { code, message, path, exit } = (value ?? {}) as Record<string, unknown>;
  return new HsmError(typeof code === 'string' ? code : 'INTERNAL', typeof message === 'string' ? message : 'the daemon failed without a reason', {
    exit: knownExits.has(exit) ? (exit as ExitCode) : exitCodes.failed,
    ...(typeof path === 'string' ? { path } : {}),
  });
}
