// walk(): a Traversal for JavaScript, a batch a promise.
#pragma once
#include <napi.h>

namespace hsm {

void InitWalk(Napi::Env env, Napi::Object exports);

} // namespace hsm
