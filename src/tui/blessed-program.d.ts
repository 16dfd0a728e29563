/** The part of blessed that reads keys and the mouse, without its widgets: they would double the time that the first screen takes. */
declare module 'blessed/lib/program.js' {
  import type { BlessedProgram } from 'blessed';
  const open: (options: { readonly input: NodeJS.ReadStream; readonly output: NodeJS.WriteStream; readonly tput: false }) => BlessedProgram;
  export = open;
}
