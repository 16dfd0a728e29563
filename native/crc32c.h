// CRC-32C (Castagnoli), as in RFC 3720 B.4: reflected 0x1EDC6F41, initial value and final xor all ones.
#pragma once
#include <cstddef>
#include <cstdint>

namespace Napi {
class Env;
class Object;
} // namespace Napi

namespace hsm {

// `seed` is the CRC of what came before: Crc32c(b, Crc32c(a)) is the CRC of ab. Uses SSE 4.2 where there is
// one.
uint32_t Crc32c(const void* data, size_t length, uint32_t seed = 0);

// The same by table, for processors without SSE 4.2.
uint32_t Crc32cByTable(const void* data, size_t length, uint32_t seed = 0);

void InitCrc32c(Napi::Env env, Napi::Object exports);

} // namespace hsm
