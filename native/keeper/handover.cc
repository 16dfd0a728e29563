#include "handover.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "rights.h"

namespace hsm {
namespace {

constexpr int kPatienceMs = 10'000, kEndPatienceMs = 1000;
constexpr char kGiven = 'g', kTaken = 'k';

bool AddressOf(const std::string& path, sockaddr_un* address) {
  if (path.size() >= sizeof address->sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
  return true;
}

bool Send(int connection, const Holdings& holdings) {
  char byte = kGiven;
  iovec part = {&byte, 1};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  return SendWithFds(connection, message, {holdings.group, holdings.table}) == 1;
}

} // namespace

int ListenForSuccessor(const std::string& socketPath) {
  sockaddr_un address = {};
  if (!AddressOf(socketPath, &address))
    return -1;
  const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (listener < 0)
    return -1;
  unlink(socketPath.c_str());
  const mode_t before = umask(0077);
  const bool bound =
      bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(listener, 4) == 0;
  umask(before);
  if (bound)
    return listener;
  close(listener);
  return -1;
}

bool HandOver(int listener, const Holdings& holdings) {
  const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection < 0)
    return false;
  char answer = 0;
  pollfd wait = {connection, POLLIN, 0};
  const bool taken = Send(connection, holdings) && poll(&wait, 1, kPatienceMs) == 1 &&
                     recv(connection, &answer, 1, 0) == 1 && answer == kTaken;
  close(connection);
  return taken;
}

bool TakeOver(const std::string& socketPath, Holdings* holdings, int* connection) {
  sockaddr_un address = {};
  const int peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (peer < 0 || !AddressOf(socketPath, &address) ||
      connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(peer);
    return false;
  }
  char byte = 0;
  int fds[2];
  pollfd wait = {peer, POLLIN, 0};
  if (poll(&wait, 1, kPatienceMs) != 1 || !ReceiveByteWithFds(peer, &byte, fds, 2) || byte != kGiven) {
    close(peer);
    return false;
  }
  *holdings = {fds[0], fds[1]};
  *connection = peer;
  return true;
}

void ConfirmTakeover(int connection) {
  ucred holder = {};
  socklen_t length = sizeof holder;
  int pidfd = -1;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &holder, &length) == 0)
    pidfd = static_cast<int>(syscall(SYS_pidfd_open, holder.pid, 0));
  (void)send(connection, &kTaken, 1, MSG_NOSIGNAL);
  close(connection);
  pollfd wait = {pidfd, POLLIN, 0};
  poll(&wait, 1, kEndPatienceMs);
  close(pidfd);
}

} // namespace hsm
