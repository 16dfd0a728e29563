#include "crc32c.h"

#include <array>
#include <cstring>
#include <napi.h>
#include <nmmintrin.h>

#include "args.h"

namespace hsm {
namespace {

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++)
      crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
    table[i] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = MakeTable();

__attribute__((target("sse4.2"))) uint32_t Crc32cByInstruction(const void* data, size_t length,
                                                               uint32_t seed) {
  const auto* at = static_cast<const uint8_t*>(data);
  uint64_t crc = ~seed;
  for (; length >= 8; length -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    crc = _mm_crc32_u64(crc, word);
  }
  auto tail = static_cast<uint32_t>(crc);
  for (; length > 0; length--, at++)
    tail = _mm_crc32_u8(tail, *at);
  return ~tail;
}

// crc32c(data: Buffer, seed?: number): number
Napi::Value Crc32cOf(const Napi::CallbackInfo& info) {
  const Bytes data = BytesArg(info, 0);
  const uint32_t seed = info[1].IsUndefined() ? 0 : Uint32Arg(info, 1);
  return Napi::Number::New(info.Env(), Crc32c(data.data(), data.size(), seed));
}

// Test only: crc32cByTable(data): number
Napi::Value Crc32cByTableOf(const Napi::CallbackInfo& info) {
  const Bytes data = BytesArg(info, 0);
  return Napi::Number::New(info.Env(), Crc32cByTable(data.data(), data.size()));
}

} // namespace

uint32_t Crc32c(const void* data, size_t length, uint32_t seed) {
  return __builtin_cpu_supports("sse4.2") ? Crc32cByInstruction(data, length, seed)
                                          : Crc32cByTable(data, length, seed);
}

uint32_t Crc32cByTable(const void* data, size_t length, uint32_t seed) {
  const auto* at = static_cast<const uint8_t*>(data);
  uint32_t crc = ~seed;
  for (; length > 0; length--, at++)
    crc = (crc >> 8) ^ kTable[(crc ^ *at) & 0xff];
  return ~crc;
}

void InitCrc32c(Napi::Env env, Napi::Object exports) {
  exports.Set("crc32c", Napi::Function::New(env, Crc32cOf, "crc32c"));
  exports.Get("testing").As<Napi::Object>().Set("crc32cByTable", Napi::Function::New(env, Crc32cByTableOf));
}

} // namespace hsm
