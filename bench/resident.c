/* open + read + close of every file in a folder, ROUNDS times: prints ns per file (median of rounds) and the p99 of single ones. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int count, char **words) {
  if (count != 3 || chdir(words[1]) != 0)
    return 2;
  const int rounds = atoi(words[2]);
  static char *names[100000];
  int files = 0;
  DIR *folder = opendir(".");
  for (struct dirent *entry; (entry = readdir(folder)) != NULL && files < 100000;)
    if (entry->d_type == DT_REG)
      names[files++] = strdup(entry->d_name);
  closedir(folder);
  double *all = malloc(sizeof(double) * files * rounds), *mean = malloc(sizeof(double) * rounds);
  char buffer[4096];
  long n = 0;
  for (int round = 0; round < rounds; round++) {
    const double start = now();
    double before = start;
    for (int i = 0; i < files; i++) {
      const int fd = open(names[i], O_RDONLY);
      if (fd < 0 || read(fd, buffer, sizeof buffer) < 0)
        return 1;
      close(fd);
      const double after = now();
      all[n++] = after - before;
      before = after;
    }
    mean[round] = (now() - start) / files;
  }
  qsort(all, n, sizeof *all, ascending);
  qsort(mean, rounds, sizeof *mean, ascending);
  printf("{\"files\":%d,\"ns\":%.0f,\"p50\":%.0f,\"p99\":%.0f}\n", files, mean[rounds / 2], all[n / 2], all[n * 99 / 100]);
  return 0;
}
