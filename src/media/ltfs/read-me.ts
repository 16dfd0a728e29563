/** The page at the root of every LTFS volume: how to get the files back with the tools of LTFS and a shell. */

/** Plain ASCII. docs/tape-format.md says the same at more length; a test follows it to the letter. */
export const readMe = (barcode: string): string => `This is volume ${barcode} of hsm, a tape archive for Linux. It is an LTFS volume:
mounted with any LTFS software, everything on it can be copied without hsm.

WHAT IS HERE
containers/000001, 000002, ... each hold some files of a file system. A later
container may hold a newer version of a file. (000000 is hsm's label.)
In such a folder:
  files/         the files, each under its own name, relative to the root of
                 the file system that was archived. files/.hsm/catalogue-*.db
                 are hsm's own catalogue (SQLite).
  objects/       files whose name LTFS does not take, each named by its id
  manifest.jsonl after its first line, a line of JSON for every file: "name"
                 and "file" (where it is here), "mode" (octal), "uid", "gid",
                 "mtime", "atime", "acl", "xattrs" (base64), "sha256", "link"
                 (a further name of another file). "void": it is not here.
  headers.bin    what else a tar archive of these files holds

RESTORE ALL OF A CONTAINER into the current folder
  cp -r --sparse=always --preserve=timestamps /mnt/containers/000001/files/. .
Owners, modes, links and the names of objects/ are in manifest.jsonl.

FIND A FILE
  grep -l '"name":"home/ann/letter.txt"' /mnt/containers/*/manifest.jsonl
Every file also carries its line as the extended attribute user.hsm.member.
`;
