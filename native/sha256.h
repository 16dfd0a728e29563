#pragma once
// SHA-256 by Node's own OpenSSL, which uses the CPU's SHA instructions.
#include <cstddef>
#include <cstdint>

typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;

namespace hsm {

constexpr size_t kSha256Size = 32;

// One running hash. Final() leaves it ready for the next message; making one costs a few microseconds, so
// keep it.
class Sha256 {
public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(const void* data, size_t length);
  void Final(uint8_t out[kSha256Size]);
  void Reset();

private:
  EVP_MD* md_;
  EVP_MD_CTX* context_;
};

} // namespace hsm
