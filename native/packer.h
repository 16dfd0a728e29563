#pragma once
// class Packer of src/native/index.ts: files in, container blocks out.
#include <napi.h>

namespace hsm {
void InitPacker(Napi::Env env, Napi::Object exports);
}
