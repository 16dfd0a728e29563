#pragma once
// SHA-256 of a file's payload as the packer would store it (src/native/index.ts payloadDigest).
#include <napi.h>

namespace hsm {
void InitDigest(Napi::Env env, Napi::Object exports);
}
