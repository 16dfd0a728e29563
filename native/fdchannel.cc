#include "fdchannel.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include <vector>

#include "args.h"
#include "errors.h"
#include "fd.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

namespace hsm {
namespace {

constexpr size_t kMostFds = 32;
constexpr size_t kMostBytes = 64 * 1024;
constexpr int kMostMessagesPerWake = 64;
constexpr int kSendPatienceMs = 1000;

struct Message {
  std::vector<uint8_t> data;
  std::vector<Fd> fds;
};

enum class Received { kMessage, kNothing, kGone };

// One message, if there is one. A peer that sends an empty or an oversized message counts as gone.
Received Receive(int socket, std::vector<uint8_t>& room, Message* message) {
  alignas(cmsghdr) char control[CMSG_SPACE(kMostFds * sizeof(int))];
  iovec part = {room.data(), room.size()};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t length;
  do {
    length = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (length < 0 && errno == EINTR);
  if (length < 0)
    return errno == EAGAIN ? Received::kNothing : Received::kGone;
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS)
      continue;
    const size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(each) + i * sizeof fd, sizeof fd);
      message->fds.emplace_back(fd);
    }
  }
  if (length == 0 || (header.msg_flags & MSG_TRUNC))
    return Received::kGone;
  message->data.assign(room.begin(), room.begin() + length);
  return Received::kMessage;
}

// 0 or errno; EAGAIN after a second of a full socket.
int Send(int socket, Bytes data, const std::vector<int>& fds) {
  alignas(cmsghdr) char control[CMSG_SPACE(kMostFds * sizeof(int))] = {};
  iovec part = {const_cast<uint8_t*>(data.data()), data.size()};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  const uint64_t end = uv_hrtime() + kSendPatienceMs * uint64_t{1'000'000};
  for (;;) {
    if (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
      return 0;
    if (errno == EINTR)
      continue;
    if (errno != EAGAIN)
      return errno;
    const uint64_t now = uv_hrtime();
    if (now >= end)
      return EAGAIN;
    pollfd writable = {socket, POLLOUT, 0};
    (void)poll(&writable, 1, static_cast<int>((end - now) / 1'000'000 + 1));
  }
}

// Owns the socket. Keeps itself and the loop alive until close() or until the peer is gone.
class FdChannel : public Napi::ObjectWrap<FdChannel> {
public:
  explicit FdChannel(const Napi::CallbackInfo& info);

  Napi::Value SendCall(const Napi::CallbackInfo& info);
  void CloseCall(const Napi::CallbackInfo&) { Close(); }

private:
  // Outlives the channel until libuv has let go of the handle.
  struct Watch {
    uv_poll_t poll;
    FdChannel* channel;
    napi_async_cleanup_hook_handle hook;
  };

  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* watch);
  static void OnReadable(uv_poll_t* poll, int status, int events);

  void Deliver(std::vector<Message>& messages);
  void Call(const Napi::FunctionReference& callback, std::initializer_list<napi_value> arguments);
  void Close();

  Fd socket_;
  Watch* watch_ = nullptr;
  std::vector<uint8_t> room_;
  Napi::FunctionReference onMessages_, onClose_;
};

FdChannel::FdChannel(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FdChannel>(info) {
  const Napi::Env env = info.Env();
  const int fd = FdArg(info, 0);
  if (!info[1].IsFunction() || !info[2].IsFunction())
    ThrowArgument(env, "arguments 2 and 3 must be functions");
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok)
    throw Napi::Error::New(env, "no event loop");
  auto watch = std::make_unique<Watch>();
  if (const int error = uv_poll_init(loop, &watch->poll, fd))
    ThrowErrno(env, -error, "epoll_ctl");
  watch_ = watch.release();
  watch_->channel = this;
  watch_->poll.data = watch_;
  napi_add_async_cleanup_hook(env, OnEnvironmentEnd, watch_, &watch_->hook);
  room_.resize(kMostBytes);
  onMessages_ = Napi::Persistent(info[1].As<Napi::Function>());
  onClose_ = Napi::Persistent(info[2].As<Napi::Function>());
  socket_.Reset(fd);
  Ref();
  uv_poll_start(&watch_->poll, UV_READABLE, OnReadable);
}

// send(data, fds?): boolean
Napi::Value FdChannel::SendCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Bytes data = BytesArg(info, 0);
  if (data.empty() || data.size() > kMostBytes)
    ThrowErrno(env, EMSGSIZE, "sendmsg");
  std::vector<int> fds;
  if (!info[1].IsUndefined()) {
    if (!info[1].IsArray())
      ThrowArgument(env, "argument 2 must be an array of file descriptors");
    const auto list = info[1].As<Napi::Array>();
    if (list.Length() > kMostFds)
      ThrowErrno(env, EMSGSIZE, "sendmsg");
    for (uint32_t i = 0; i < list.Length(); i++)
      fds.push_back(static_cast<int>(IntegerOf(list.Get(i), "a file descriptor")));
  }
  if (!socket_)
    return Napi::Boolean::New(env, false);
  const int error = Send(socket_.Get(), data, fds);
  if (error == EPIPE || error == ECONNRESET || error == ENOTCONN || error == ECONNREFUSED)
    return Napi::Boolean::New(env, false);
  if (error != 0)
    ThrowErrno(env, error, "sendmsg");
  return Napi::Boolean::New(env, true);
}

void FdChannel::OnReadable(uv_poll_t* poll, int, int) {
  FdChannel& channel = *static_cast<Watch*>(poll->data)->channel;
  const Napi::Env env = channel.Env();
  Napi::HandleScope scope(env);
  [[maybe_unused]] const Napi::Object keepAlive = channel.Value();
  std::vector<Message> messages;
  Received received = Received::kMessage;
  while (received == Received::kMessage && messages.size() < kMostMessagesPerWake) {
    Message message;
    received = Receive(channel.socket_.Get(), channel.room_, &message);
    if (received == Received::kMessage)
      messages.push_back(std::move(message));
  }
  if (!messages.empty())
    channel.Deliver(messages);
  if (received != Received::kGone || !channel.socket_)
    return;
  channel.Close();
  channel.Call(channel.onClose_, {});
}

// From the moment of the call the descriptors belong to the callback. What cannot be delivered is closed.
void FdChannel::Deliver(std::vector<Message>& messages) {
  const Napi::Env env = Env();
  try {
    Napi::Array list = Napi::Array::New(env, messages.size());
    for (uint32_t i = 0; i < messages.size(); i++) {
      Napi::Array fds = Napi::Array::New(env, messages[i].fds.size());
      for (uint32_t j = 0; j < messages[i].fds.size(); j++)
        fds.Set(j, Napi::Number::New(env, messages[i].fds[j].Get()));
      Napi::Object each = Napi::Object::New(env);
      each.Set("data", Napi::Buffer<uint8_t>::Copy(env, messages[i].data.data(), messages[i].data.size()));
      each.Set("fds", fds);
      list.Set(i, each);
    }
    for (Message& message : messages)
      for (Fd& fd : message.fds)
        (void)fd.Release();
    Call(onMessages_, {list});
  } catch (const Napi::Error&) {
    // The environment is ending: nobody can be told.
  }
}

// What a callback throws is an uncaught exception, as from any event.
void FdChannel::Call(const Napi::FunctionReference& callback, std::initializer_list<napi_value> arguments) {
  napi_value result, receiver = Value();
  const napi_status status = napi_make_callback(Env(), nullptr, receiver, callback.Value(), arguments.size(),
                                                arguments.begin(), &result);
  bool pending = false;
  if (status == napi_ok || napi_is_exception_pending(Env(), &pending) != napi_ok || !pending)
    return;
  napi_value error;
  if (napi_get_and_clear_last_exception(Env(), &error) == napi_ok)
    napi_fatal_exception(Env(), error);
}

void FdChannel::Close() {
  if (!watch_)
    return;
  uv_poll_stop(&watch_->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch_->poll), [](uv_handle_t* handle) {
    auto* watch = static_cast<Watch*>(handle->data);
    napi_remove_async_cleanup_hook(watch->hook);
    delete watch;
  });
  watch_ = nullptr;
  socket_.Reset();
  Unref();
}

void FdChannel::OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* watch) {
  // After close() only libuv's own callback is still to come, and that removes the hook.
  auto* ended = static_cast<Watch*>(watch);
  if (!uv_is_closing(reinterpret_cast<uv_handle_t*>(&ended->poll)))
    ended->channel->Close();
}

// socketpair(): [number, number]
Napi::Value Socketpair(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int ends[2];
  CheckErrno(env, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  Napi::Array result = Napi::Array::New(env, 2);
  for (uint32_t i = 0; i < 2; i++)
    result.Set(i, Napi::Number::New(env, ends[i]));
  return result;
}

// peerCredentials(fd): {pid, uid, gid, groups}
Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = FdArg(info, 0);
  ucred peer;
  socklen_t length = sizeof peer;
  CheckErrno(env, getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length), "getsockopt");
  std::vector<gid_t> groups(64);
  length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
  if (result < 0 && errno == ERANGE) {
    groups.resize(length / sizeof(gid_t));
    result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
  }
  // socket(7): sockets of socketpair(2) have no peer groups on some kernels.
  if (result < 0 && errno != ENODATA)
    ThrowErrno(env, errno, "getsockopt");
  groups.resize(result < 0 ? 0 : length / sizeof(gid_t));
  Napi::Array list = Napi::Array::New(env, groups.size());
  for (uint32_t i = 0; i < groups.size(); i++)
    list.Set(i, Napi::Number::New(env, groups[i]));
  Napi::Object credentials = Napi::Object::New(env);
  credentials.Set("pid", Napi::Number::New(env, peer.pid));
  credentials.Set("uid", Napi::Number::New(env, peer.uid));
  credentials.Set("gid", Napi::Number::New(env, peer.gid));
  credentials.Set("groups", list);
  return credentials;
}

// keepAcrossExec(fd): Node marks the fds that it inherits close-on-exec
void KeepAcrossExec(const Napi::CallbackInfo& info) {
  CheckErrno(info.Env(), fcntl(FdArg(info, 0), F_SETFD, 0), "fcntl");
}

// closeOnExec(fd): fcntl F_SETFD FD_CLOEXEC, for what was inherited.
void CloseOnExec(const Napi::CallbackInfo& info) {
  CheckErrno(info.Env(), fcntl(FdArg(info, 0), F_SETFD, FD_CLOEXEC), "fcntl");
}

// Test only: closeFd(fd). Worker threads, in which AVA runs tests, warn when fs.close() closes what fs.open()
// did not open.
void CloseFd(const Napi::CallbackInfo& info) {
  CheckErrno(info.Env(), close(FdArg(info, 0)), "close");
}

} // namespace

void InitFdchannel(Napi::Env env, Napi::Object exports) {
  exports.Set("socketpair", Napi::Function::New(env, Socketpair, "socketpair"));
  exports.Set("keepAcrossExec", Napi::Function::New(env, KeepAcrossExec, "keepAcrossExec"));
  exports.Set("closeOnExec", Napi::Function::New(env, CloseOnExec, "closeOnExec"));
  exports.Set("peerCredentials", Napi::Function::New(env, PeerCredentials, "peerCredentials"));
  exports.Get("testing").As<Napi::Object>().Set("closeFd", Napi::Function::New(env, CloseFd, "closeFd"));
  exports.Set("FdChannel",
              FdChannel::DefineClass(env, "FdChannel",
                                     {FdChannel::InstanceMethod("send", &FdChannel::SendCall),
                                      FdChannel::InstanceMethod("close", &FdChannel::CloseCall)}));
}

} // namespace hsm
