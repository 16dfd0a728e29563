/** What the listing commands share: rows of the daemon as JSON lines or as a table. */
import { withClient } from '../daemon/client.ts';
import type { Method } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import type { Context } from './command.ts';
import { type Column, tableLines } from './table.ts';

/** Asks the daemon for rows and shows them; `none` is said when there are none. */
export async function list<Row>(context: Context, method: Method, params: Readonly<Record<string, unknown>>, columns: readonly Column<Row>[], none: string): Promise<ExitCode> {
  const rows = (await withClient(context.config().socket, (client) => client.rows(method, params))) as Row[];
  show(context, rows, columns, none);
  return exitCodes.done;
}

export function show<Row>(context: Context, rows: readonly Row[], columns: readonly Column<Row>[], none: string): void {
  if (context.json) for (const row of rows) context.out.json(row);
  else if (rows.length > 0) for (const line of tableLines(rows, columns)) context.out.line(line);
  else if (!context.quiet) context.out.line(none);
}
