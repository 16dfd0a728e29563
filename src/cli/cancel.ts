/** `hsm cancel`: ends a recall request or a job. */
import { type Command, Option } from 'commander';
import { withClient } from '../daemon/client.ts';
import { exitCodes, HsmError, usageError } from '../errors.ts';
import { action, examples } from './command.ts';

/** What the kernel lets a blocked reader get (facts about fanotify responses: kernel include/uapi/linux/fanotify.h). */
const errnos = ['EPERM', 'EIO', 'EBUSY', 'EAGAIN', 'ETXTBSY', 'ENOSPC', 'EDQUOT'];

export function define(command: Command): void {
  command
    .argument('<id>', "a request such as r12 ('hsm queue') or a job such as j3 ('hsm jobs')")
    .addOption(new Option('--errno <name>', 'the error that waiting readers get (default: EAGAIN)').choices(errnos))
    .addHelpText('after', `\nUsers other than root and the group hsm can cancel what their own processes wait for.\n${examples('hsm cancel r12', 'hsm cancel r12 --errno EIO', 'hsm cancel j3')}`)
    .action(
      action(async (context, id: string, options: { readonly errno?: string }) => {
        if (!/^[rj]\d+$/.test(id)) throw usageError(`'${id}' is no id: requests look like r12 ('hsm queue'), jobs like j3 ('hsm jobs')`);
        if (id.startsWith('j') && options.errno !== undefined) throw usageError('--errno is for recall requests: a job has no waiting readers');
        const result = (await withClient(context.config().socket, (client) => client.call('cancel', { id, ...options }))) as { cancelled: number };
        if (result.cancelled === 0) throw new HsmError('ENOENT', `nothing to cancel: ${id} has ended, or never was`);
        if (context.json) context.out.json({ id, ...result });
        else if (!context.quiet) context.out.line(`cancelled ${id}`);
        return exitCodes.done;
      }),
    );
}
