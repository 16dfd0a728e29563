/** The page at the beginning of every volume: how to get the files back with `mt`, `dd` and `tar` alone. */

/** Plain ASCII, lines of at most 78 characters. docs/tape-format.md quotes it; a test follows it to the letter. */
export const howTo = (barcode: string): string => `This is volume ${barcode} of hsm, a tape archive for Linux. All that is on
it can be restored without hsm, with mt, dd and GNU tar alone, as root. (DRIVE
below is the non-rewinding device, such as /dev/nst0.)

WHAT IS HERE
The volume begins with an 80-byte ANSI VOL1 label, this page and a filemark.
Every tape file after that is one container: a POSIX pax tar archive in blocks
of 1 MiB, the last one filled up with zeros, and a filemark. Names in it are
relative to the root of the file system that was archived. A later container
may hold a newer version of a file: restore containers in ascending order.

RESTORE ONE CONTAINER (tape file N, counted from 1) into the current folder
  mt -f DRIVE setblk 0
  mt -f DRIVE rewind
  mt -f DRIVE fsf N
  dd if=DRIVE bs=1M of=container.tar
  tar -xpf container.tar --acls --xattrs --xattrs-include='*' \\
      --warning=no-unknown-keyword
Repeat the last two commands for the next container; an empty container.tar
means the end of the tape. Leave out options that your tar does not know.
Where tar finds an unexpected end, the container was cut short at the end of
a tape: its last file is not whole, a later container or volume has it.

FIND A FILE
The last member of each container is its index, .hsm/index-*.jsonl: a line of
JSON for every member with its name, byte offset, length, size and SHA-256.
Lines with "void" are files that changed while they were copied: their members
are not good, delete what was restored from them. Large files have their hash
in the index only. Files .hsm/catalogue-*.db are hsm's own catalogue (SQLite).

RESTORE ONE FILE, when the index says "offset":OFFSET and "name":"NAME"
  tail -c +$((OFFSET + 1)) container.tar | tar -xpf - --occurrence=1 \\
      --acls --xattrs --xattrs-include='*' --warning=no-unknown-keyword NAME
A line with "link" is a further name of another member: restore that one.

A virtual cartridge (a .tap file) holds each block as: length (4 bytes, little
endian), data, a zero if the length is odd, the length again; a filemark is a
length of 0. Take these away and the same archives are left.
`;
