#pragma once
// class Extractor of src/native/index.ts: container blocks in, restored files out.
#include <napi.h>

namespace hsm {
void InitExtractor(Napi::Env env, Napi::Object exports);
}
