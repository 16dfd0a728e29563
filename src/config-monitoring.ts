/** The section `[metrics]` of the configuration. */
import { isIP, isIPv4 } from 'node:net';
import { dirname, join } from 'node:path';

export interface MetricsSettings {
  /** The Unix socket that serves HTTP. */
  readonly socket: string;
  /** TCP besides; null: none. */
  readonly listen: { readonly host: string; readonly port: number } | null;
}

/** What is needed of the reader of a table. */
interface TableReader {
  path(key: string, fallback?: string): string;
  optionalText(key: string): string | null;
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

function hostAndPort(text: string): { readonly host: string; readonly port: number } | null {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  const isAddress = host !== undefined && (bracketed === undefined ? isIPv4(host) || host === 'localhost' : isIP(host) === 6);
  return isAddress && port >= 1 && port <= 65_535 ? { host, port } : null;
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
