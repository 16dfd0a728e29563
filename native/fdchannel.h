// Messages with file descriptors over a Unix socket: SOCK_SEQPACKET and SCM_RIGHTS, unix(7).
#pragma once
#include <napi.h>

namespace hsm {

void InitFdchannel(Napi::Env env, Napi::Object exports);

} // namespace hsm
