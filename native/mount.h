// Detached private mounts: open_tree(2) with OPEN_TREE_CLONE.
#pragma once
#include <napi.h>

namespace hsm {

void InitMount(Napi::Env env, Napi::Object exports);

} // namespace hsm
