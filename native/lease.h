// File leases: fcntl(2) F_SETLEASE, F_GETLEASE.
#pragma once
#include <cstdint>

namespace Napi {
class Env;
class Object;
} // namespace Napi

namespace hsm {

// Half of lease-break-time in ns, or INT64_MAX when leases are never broken by force. Within this time after
// a lease was taken nobody can have broken it by force: the kernel waits all of lease-break-time for the
// holder, from the first opener on.
int64_t SafeLeaseNs();

// CLOCK_BOOTTIME: goes on during suspend, so a lease is never believed younger than it is.
int64_t BootTimeNs();

void InitLease(Napi::Env env, Napi::Object exports);

} // namespace hsm
