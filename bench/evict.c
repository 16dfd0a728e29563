// Lease, xattr, punch, times for every regular file below a directory, then one syncfs: the floor of a release.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static char record[64];

static void check(int result, const char *what, const char *path) {
  if (result >= 0)
    return;
  perror(what);
  fprintf(stderr, "%s\n", path);
  exit(1);
}

static int evict(const char *path, const struct stat *seen, int kind, struct FTW *place) {
  (void)seen;
  (void)place;
  if (kind != FTW_F)
    return 0;
  const int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  struct statx before, after;
  check(fd, "open", path);
  check(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &before), "statx", path);
  check(fcntl(fd, F_SETLEASE, F_WRLCK), "lease", path);
  check(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &after), "statx", path);
  check(fsetxattr(fd, "security.bpf.hsm", record, sizeof record, 0), "setxattr", path);
  check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (before.stx_size + 4095) & ~4095ULL), "fallocate", path);
  const struct timespec times[2] = {{before.stx_atime.tv_sec, before.stx_atime.tv_nsec}, {before.stx_mtime.tv_sec, before.stx_mtime.tv_nsec}};
  check(futimens(fd, times), "futimens", path);
  check(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &after), "statx", path);
  check(fcntl(fd, F_SETLEASE, F_UNLCK), "unlock", path);
  close(fd);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  signal(SIGIO, SIG_IGN);
  const int root = open(argv[1], O_RDONLY | O_DIRECTORY);
  check(root, "open", argv[1]);
  check(nftw(argv[1], evict, 64, FTW_PHYS), "nftw", argv[1]);
  check(syncfs(root), "syncfs", argv[1]);
  return 0;
}
