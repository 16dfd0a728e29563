// Extended attributes: getxattr(2) and relatives, on a descriptor or on a path that is not followed.
#pragma once
#include <napi.h>

namespace hsm {

void InitXattr(Napi::Env env, Napi::Object exports);

} // namespace hsm
