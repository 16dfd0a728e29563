// read(2) + SHA-256 + write(2) in blocks of 1 MiB, one thread: the floor of the data path for a large file.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// libcrypto without its headers.
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;
EVP_MD_CTX *EVP_MD_CTX_new(void);
const EVP_MD *EVP_sha256(void);
int EVP_DigestInit_ex(EVP_MD_CTX *, const EVP_MD *, void *);
int EVP_DigestUpdate(EVP_MD_CTX *, const void *, size_t);
int EVP_DigestFinal_ex(EVP_MD_CTX *, unsigned char *, unsigned *);

int main(int argc, char **argv) {
  enum { block = 1 << 20 };
  int from = open(argv[1], O_RDONLY | O_NOATIME), to = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  char *data = aligned_alloc(4096, block);
  EVP_MD_CTX *hash = EVP_MD_CTX_new();
  unsigned char digest[32];
  if (argc != 3 || from < 0 || to < 0 || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
    perror("read-hash-write");
    return 1;
  }
  for (ssize_t got; (got = read(from, data, block)) != 0;) {
    if (got < 0 || EVP_DigestUpdate(hash, data, got) != 1 || write(to, data, got) != got) {
      perror("read-hash-write");
      return 1;
    }
  }
  EVP_DigestFinal_ex(hash, digest, NULL);
  for (int i = 0; i < 32; i++)
    printf("%02x", digest[i]);
  puts("");
  return 0;
}
