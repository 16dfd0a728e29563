#include "rights.h"

#include <cstring>
#include <unistd.h>
#include <vector>

namespace hsm {

ssize_t SendWithFds(int socket, msghdr message, std::initializer_list<int> fds, int flags) {
  const size_t size = fds.size() * sizeof(int);
  std::vector<cmsghdr> control(CMSG_SPACE(size) / sizeof(cmsghdr) + 1);
  if (fds.size() > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), fds.begin(), size);
  }
  return sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

bool ReceiveByteWithFds(int socket, char* byte, int* fds, size_t count) {
  iovec part = {byte, 1};
  std::vector<cmsghdr> control(CMSG_SPACE(count * sizeof(int)) / sizeof(cmsghdr) + 1);
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1)
    return false;
  const cmsghdr* rights = CMSG_FIRSTHDR(&message);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS)
    return false;
  const size_t got = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  if (got == count) {
    std::memcpy(fds, CMSG_DATA(rights), count * sizeof(int));
    return true;
  }
  for (size_t i = 0; i < got; i++) {
    int stray;
    std::memcpy(&stray, CMSG_DATA(rights) + i * sizeof(int), sizeof stray);
    close(stray);
  }
  return false;
}

} // namespace hsm
