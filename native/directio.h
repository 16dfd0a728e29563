// What O_DIRECT asks for: alignment (statx(2) STATX_DIOALIGN, Linux 6.1) and memory that has it.
#pragma once
#include <napi.h>

namespace hsm {
void InitDirectio(Napi::Env env, Napi::Object exports);
}
