#include "sha256.h"

#include <new>
#include <openssl/evp.h>
#include <stdexcept>

namespace hsm {

Sha256::Sha256() : md_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  if (md_ == nullptr || context_ == nullptr) {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(md_);
    throw std::bad_alloc();
  }
  Reset();
}

Sha256::~Sha256() {
  EVP_MD_CTX_free(context_);
  EVP_MD_free(md_);
}

void Sha256::Update(const void* data, size_t length) {
  if (EVP_DigestUpdate(context_, data, length) != 1)
    throw std::runtime_error("SHA-256 failed");
}

void Sha256::Final(uint8_t out[kSha256Size]) {
  if (EVP_DigestFinal_ex(context_, out, nullptr) != 1)
    throw std::runtime_error("SHA-256 failed");
  Reset();
}

void Sha256::Reset() {
  if (EVP_DigestInit_ex2(context_, md_, nullptr) != 1)
    throw std::runtime_error("SHA-256 failed");
}

} // namespace hsm
