// malloc_trim(3).
#pragma once
#include <napi.h>

namespace hsm {
void InitMemory(Napi::Env env, Napi::Object exports);
}
