#include "lease.h"

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <limits>
#include <napi.h>
#include <time.h>

#include "args.h"
#include "errors.h"

namespace hsm {
namespace {

// setLease(fd, 'read' | 'write' | 'none')
void SetLease(const Napi::CallbackInfo& info) {
  const int fd = FdArg(info, 0);
  const std::string name = StringArg(info, 1);
  if (name != "read" && name != "write" && name != "none")
    ThrowArgument(info.Env(), "argument 2 must be 'read', 'write' or 'none'");
  const int type = name == "read" ? F_RDLCK : name == "write" ? F_WRLCK : F_UNLCK;
  CheckErrno(info.Env(), fcntl(fd, F_SETLEASE, type), "fcntl");
}

// getLease(fd): 'read' | 'write' | 'none'; while a break is pending, what the lease will become
Napi::Value GetLease(const Napi::CallbackInfo& info) {
  const int type = CheckErrno(info.Env(), fcntl(FdArg(info, 0), F_GETLEASE), "fcntl");
  return Napi::String::New(info.Env(), type == F_RDLCK ? "read" : type == F_WRLCK ? "write" : "none");
}

} // namespace

int64_t SafeLeaseNs() {
  constexpr int64_t kSecond = 1'000'000'000;
  long seconds = 45; // fs/locks.c, lease_break_time
  if (FILE* file = std::fopen("/proc/sys/fs/lease-break-time", "re")) {
    if (std::fscanf(file, "%ld", &seconds) != 1)
      seconds = 1;
    std::fclose(file);
  }
  return seconds <= 0 ? std::numeric_limits<int64_t>::max() : seconds * kSecond / 2;
}

int64_t BootTimeNs() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

void InitLease(Napi::Env env, Napi::Object exports) {
  // Whoever opens a leased file makes the kernel send the holder SIGIO, which kills by default. Process-wide,
  // and harmless to set once for each environment: nothing else in Node uses SIGIO.
  std::signal(SIGIO, SIG_IGN);
  exports.Set("setLease", Napi::Function::New(env, SetLease, "setLease"));
  exports.Set("getLease", Napi::Function::New(env, GetLease, "getLease"));
}

} // namespace hsm
