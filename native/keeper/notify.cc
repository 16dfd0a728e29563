#include "notify.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rights.h"

namespace hsm {

bool HasManager() {
  return std::getenv("NOTIFY_SOCKET") != nullptr;
}

void Notify(const std::string& state, int fd) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr)
    return;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length == 0 || length >= sizeof address.sun_path)
    return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@')
    address.sun_path[0] = '\0';
  iovec part = {const_cast<char*>(state.data()), state.size()};
  msghdr message = {};
  message.msg_name = &address;
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const int out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (out < 0)
    return;
  if (fd >= 0)
    (void)SendWithFds(out, message, {fd});
  else
    (void)sendmsg(out, &message, MSG_NOSIGNAL);
  close(out);
}

} // namespace hsm
