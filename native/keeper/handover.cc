#include "handover.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rights.h"

namespace hsm {
namespace {

// A holder that does not answer is stopped, or does not find a processor.
constexpr int kPatienceMs = 2000;
constexpr char kGiven = 'g';

bool AddressOf(const std::string& path, sockaddr_un* address) {
  if (path.size() >= sizeof address->sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
  return true;
}

void Close(int* fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

} // namespace

void Giver::Listen() {
  struct stat file;
  const bool isThere = stat(socketPath_.c_str(), &file) == 0;
  if (listener_ >= 0 && isThere && file.st_dev == device_ && file.st_ino == inode_)
    return;
  Close(&listener_);
  sockaddr_un address = {};
  if (!AddressOf(socketPath_, &address))
    return;
  const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (listener < 0)
    return;
  unlink(socketPath_.c_str());
  const mode_t before = umask(0077);
  const bool bound = bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                     listen(listener, 4) == 0 && stat(socketPath_.c_str(), &file) == 0;
  umask(before);
  if (!bound) {
    close(listener);
    return;
  }
  listener_ = listener;
  device_ = file.st_dev;
  inode_ = file.st_ino;
}

void Giver::Give() {
  Close(&successor_);
  successor_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (successor_ < 0)
    return;
  char byte = kGiven;
  iovec part = {&byte, 1};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (SendWithFds(successor_, message, {holdings_.group, holdings_.table}) != 1)
    Close(&successor_);
}

bool Giver::Wait(int timeoutMs, int other) {
  Listen();
  pollfd wait[3] = {{other, POLLPRI, 0}, {listener_, POLLIN, 0}, {successor_, POLLIN, 0}};
  poll(wait, 3, timeoutMs);
  if (wait[2].revents != 0)
    Close(&successor_);
  if ((wait[1].revents & POLLIN) != 0)
    Give();
  return wait[0].revents != 0;
}

bool TakeOver(const std::string& socketPath, Holdings* holdings, int* connection) {
  sockaddr_un address = {};
  int peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  pollfd wait = {peer, POLLIN, 0};
  char byte = 0;
  int fds[2];
  if (peer < 0 || !AddressOf(socketPath, &address) ||
      connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      poll(&wait, 1, kPatienceMs) != 1 || !ReceiveByteWithFds(peer, &byte, fds, 2)) {
    Close(&peer);
    return false;
  }
  *holdings = {fds[0], fds[1]};
  *connection = peer;
  return true;
}

} // namespace hsm
