// Files that get their name when they are finished: open(2) O_TMPFILE, linkat(2).
#pragma once

namespace Napi {
class Env;
class Object;
} // namespace Napi

namespace hsm {

void InitLink(Napi::Env env, Napi::Object exports);

} // namespace hsm
