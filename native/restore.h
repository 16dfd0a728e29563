#pragma once
// The end of a restore: made durable and ordinary, or undone (src/native/index.ts commitRestore,
// undoRestore).
#include <napi.h>

namespace hsm {
void InitRestore(Napi::Env env, Napi::Object exports);
}
