/** The sections `[metrics]` and `[hooks]` of the configuration. */
import { isIP, isIPv4 } from 'node:net';
import { dirname, isAbsolute, join } from 'node:path';
import { hookTriggers, type HookTrigger } from './monitoring/hooks/triggers.ts';

export interface MetricsSettings {
  /** The Unix socket that serves HTTP. */
  readonly socket: string;
  /** TCP besides; null: none. */
  readonly listen: { readonly host: string; readonly port: number } | null;
}

export interface HookSettings {
  /** Program and arguments; empty: none. */
  readonly command: readonly string[];
  readonly webhook: string | null;
  /** Holds the bearer token for the webhook; null: none is sent. */
  readonly webhookSecretFile: string | null;
  /** Kinds of events, and classes of them. */
  readonly on: readonly HookTrigger[];
  readonly timeoutS: number;
  /** How many hooks run at a time. */
  readonly atOnce: number;
  /** Further tries of a webhook. */
  readonly retries: number;
}

/** What is needed of the reader of a table. */
interface TableReader {
  path(key: string, fallback?: string): string;
  optionalPath(key: string): string | null;
  optionalText(key: string): string | null;
  strings(key: string, fallback: readonly string[]): readonly string[];
  number(key: string, fallback: number): number;
  flag(key: string, fallback: boolean): boolean;
  fail(key: string, expected: string): Error;
}

export function metricsSettings(reader: TableReader, controlSocket: string): MetricsSettings {
  const socket = reader.path('socket', join(dirname(controlSocket), 'metrics.sock'));
  if (socket === controlSocket) throw reader.fail('socket', 'another path than that of the control socket');
  const anywhere = reader.flag('listen_anywhere', false);
  const text = reader.optionalText('listen');
  if (text === null) return { socket, listen: null };
  const listen = hostAndPort(text);
  if (listen === null) throw reader.fail('listen', 'an address and a port such as "127.0.0.1:9788" or "[::1]:9788"');
  if (!anywhere && !isLoopback(listen.host)) {
    throw reader.fail('listen', 'an address of this machine alone, such as "127.0.0.1:9788", since whoever reaches it reads all metrics; listen_anywhere = true allows others');
  }
  return { socket, listen };
}

export function hookSettings(reader: TableReader): HookSettings {
  const command = reader.strings('command', []);
  const [program] = command;
  if (program !== undefined && (!isAbsolute(program) || program.includes('='))) throw reader.fail('command', 'a list of an absolute path, without "=", and arguments: no shell looks at it');
  const webhook = reader.optionalText('webhook');
  if (webhook !== null && !isWebhook(webhook)) throw reader.fail('webhook', 'a URL that begins with http:// or https://, without a password: that belongs into webhook_secret_file');
  const on = reader.strings('on', ['operator-needed', 'failure']).map((text) => {
    const trigger = hookTriggers.find((each) => each === text);
    if (trigger === undefined) throw reader.fail('on', `a list of classes and events: ${hookTriggers.join(', ')}`);
    return trigger;
  });
  const timeoutS = reader.number('timeout_s', 30);
  if (timeoutS === 0 || timeoutS > 3600) throw reader.fail('timeout_s', 'more than 0 and at most 3600');
  const atOnce = reader.number('at_once', 2);
  if (!Number.isInteger(atOnce) || atOnce < 1 || atOnce > 16) throw reader.fail('at_once', 'a whole number from 1 to 16');
  return { command, webhook, webhookSecretFile: reader.optionalPath('webhook_secret_file'), on, timeoutS, atOnce, retries: Math.min(10, Math.floor(reader.number('retries', 3))) };
}

function hostAndPort(text: string): { readonly host: string; readonly port: number } | null {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  const isAddress = host !== undefined && (bracketed === undefined ? isIPv4(host) || host === 'localhost' : isIP(host) === 6);
  return isAddress && port >= 1 && port <= 65_535 ? { host, port } : null;
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));

function isWebhook(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { password, protocol, username } = new URL(text);
  return ['http:', 'https:'].includes(protocol) && username === '' && password === '';
}
