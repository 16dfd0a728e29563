/** Ways to read files, each as a user would type it. Scripts run in the filesystem's root and copy to another folder, where the same tree of folders is. */
import { isThere } from './tools.ts';

export interface Reader {
  readonly name: string;
  /** How many files it gets. */
  readonly files: number;
  readonly available: () => boolean;
  /** `names` and `copies` are quoted for the shell. */
  readonly script: (names: readonly string[], copies: string) => string;
}

const always = (): boolean => true;

export const readers: readonly Reader[] = [
  { name: 'cat', files: 20, available: always, script: (names, copies) => each(names, (name) => `cat ${name} > ${copies}/${name}`) },
  { name: 'cp --sparse=always', files: 20, available: always, script: (names, copies) => `cp --sparse=always --parents -t ${copies} ${names.join(' ')}` },
  { name: 'tar', files: 20, available: always, script: (names, copies) => `tar -cf - ${names.join(' ')} | tar -C ${copies} -xf -` },
  { name: 'tar -S', files: 20, available: always, script: (names, copies) => `tar -Scf - ${names.join(' ')} | tar -C ${copies} -xf -` },
  { name: 'dd', files: 10, available: always, script: (names, copies) => each(names, (name) => `dd if=${name} of=${copies}/${name} bs=64K status=none`) },
  { name: 'mmap (python3)', files: 10, available: () => isThere('python3'), script: (names, copies) => each(names, (name) => `python3 -c '${mapped}' ${name} ${copies}/${name}`) },
];

const mapped = 'import mmap, sys; f = open(sys.argv[1], "rb"); open(sys.argv[2], "wb").write(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ))';

const each = (names: readonly string[], command: (name: string) => string): string => names.map(command).join(' && ');
