#include "fanotify.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <napi.h>
#include <sys/mman.h>
#include <unistd.h>

#include "args.h"
#include "errors.h"
#include "fd.h"
#include "keeper/fanotify_abi.h"

namespace hsm {
namespace {

constexpr unsigned kIgnoreSurviving = FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY;

int MarkInode(int groupFd, int fd, unsigned flags, uint64_t mask) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return fanotify_mark(groupFd, flags, mask, AT_FDCWD, path) == 0 ? 0 : -errno;
}

// Kernels before 6.14 know no FAN_PRE_ACCESS; there the group asks at open only.
int ChangeIgnoreMark(int groupFd, int fd, unsigned flags) {
  const int error = MarkInode(groupFd, fd, flags | kIgnoreSurviving, kPermissionMask);
  return error == -EINVAL ? MarkInode(groupFd, fd, flags | kIgnoreSurviving, FAN_OPEN_PERM) : error;
}

// ignoreMark(groupFd, fd, add): boolean
Napi::Value IgnoreMark(const Napi::CallbackInfo& info) {
  const int group = FdArg(info, 0), fd = FdArg(info, 1);
  if (!info[2].IsBoolean())
    ThrowArgument(info.Env(), "argument 3 must be a boolean");
  const bool add = info[2].As<Napi::Boolean>();
  const int result = add ? AddIgnoreMark(group, fd) : RemoveIgnoreMark(group, fd);
  if (result < 0)
    ThrowErrno(info.Env(), -result, "fanotify_mark");
  return Napi::Boolean::New(info.Env(), add || result == 1);
}

bool CanInit(unsigned flag) {
  return static_cast<bool>(
      Fd(fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | flag, O_RDONLY | O_CLOEXEC)));
}

// Whether the kernel knows these events. Tried on a memfd, whose filesystem may refuse pre-content events
// with EOPNOTSUPP: an unknown one is EINVAL.
bool KnowsEvents(int group, int memfd, uint64_t mask) {
  const int error = MarkInode(group, memfd, FAN_MARK_ADD, mask);
  return error == 0 || error == -EOPNOTSUPP;
}

// fanotifyProbe(): {preAccess, openPerm, fdError, pidfd}; EPERM without privileges
Napi::Value FanotifyProbe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Fd group(CheckErrno(env, fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC),
                            "fanotify_init"));
  const Fd file(CheckErrno(env, memfd_create("hsm-probe", MFD_CLOEXEC), "memfd_create"));
  Napi::Object result = Napi::Object::New(env);
  result.Set("preAccess", Napi::Boolean::New(env, KnowsEvents(group.Get(), file.Get(), FAN_PRE_ACCESS)));
  result.Set("openPerm", Napi::Boolean::New(env, KnowsEvents(group.Get(), file.Get(), FAN_OPEN_PERM)));
  result.Set("fdError", Napi::Boolean::New(env, CanInit(FAN_REPORT_FD_ERROR)));
  result.Set("pidfd", Napi::Boolean::New(env, CanInit(FAN_REPORT_PIDFD)));
  return result;
}

// Test only: fanotifyInit(): a pre-content group whose read() does not block
Napi::Value TestInit(const Napi::CallbackInfo& info) {
  const int fd = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
                                   FAN_UNLIMITED_MARKS,
                               O_RDWR | O_LARGEFILE | O_CLOEXEC);
  return Napi::Number::New(info.Env(), CheckErrno(info.Env(), fd, "fanotify_init"));
}

// Test only: fanotifyMark(group, 'filesystem' | 'private', dirFd): guards a whole filesystem, or silences a
// private mount
void TestMark(const Napi::CallbackInfo& info) {
  const bool silence = StringArg(info, 1) == "private";
  const unsigned flags = FAN_MARK_ADD | (silence ? FAN_MARK_MOUNT | kIgnoreSurviving : FAN_MARK_FILESYSTEM);
  CheckErrno(info.Env(), fanotify_mark(FdArg(info, 0), flags, kPermissionMask, FdArg(info, 2), "."),
             "fanotify_mark");
}

// Test only: fanotifyRead(group): {fd, mask, pid}[], empty when nothing waits
Napi::Value TestRead(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  alignas(fanotify_event_metadata) char room[4096];
  Napi::Array events = Napi::Array::New(env);
  ssize_t left = read(FdArg(info, 0), room, sizeof room);
  if (left < 0 && errno != EAGAIN)
    ThrowErrno(env, errno, "read");
  auto* event = reinterpret_cast<fanotify_event_metadata*>(room);
  for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
    Napi::Object each = Napi::Object::New(env);
    each.Set("fd", Napi::Number::New(env, event->fd));
    each.Set("mask", Napi::Number::New(env, static_cast<double>(event->mask)));
    each.Set("pid", Napi::Number::New(env, event->pid));
    events.Set(events.Length(), each);
  }
  return events;
}

// Test only: fanotifyRespond(group, eventFd, errno): 0 allows. The event's fd stays open.
void TestRespond(const Napi::CallbackInfo& info) {
  const uint32_t error = Uint32Arg(info, 2);
  const fanotify_response answer{FdArg(info, 1), error ? DenyWith(static_cast<int>(error)) : FAN_ALLOW};
  CheckErrno(info.Env(), static_cast<int>(write(FdArg(info, 0), &answer, sizeof answer)), "write");
}

} // namespace

int RemoveIgnoreMark(int groupFd, int fd) {
  const int error = ChangeIgnoreMark(groupFd, fd, FAN_MARK_REMOVE);
  return error == 0 ? 1 : error == -ENOENT ? 0 : error;
}

int AddIgnoreMark(int groupFd, int fd) {
  return ChangeIgnoreMark(groupFd, fd, FAN_MARK_ADD | FAN_MARK_EVICTABLE);
}

void InitFanotify(Napi::Env env, Napi::Object exports) {
  exports.Set("ignoreMark", Napi::Function::New(env, IgnoreMark, "ignoreMark"));
  exports.Set("fanotifyProbe", Napi::Function::New(env, FanotifyProbe, "fanotifyProbe"));
  Napi::Object testing = exports.Get("testing").As<Napi::Object>();
  testing.Set("fanotifyInit", Napi::Function::New(env, TestInit, "fanotifyInit"));
  testing.Set("fanotifyMark", Napi::Function::New(env, TestMark, "fanotifyMark"));
  testing.Set("fanotifyRead", Napi::Function::New(env, TestRead, "fanotifyRead"));
  testing.Set("fanotifyRespond", Napi::Function::New(env, TestRespond, "fanotifyRespond"));
}

} // namespace hsm
