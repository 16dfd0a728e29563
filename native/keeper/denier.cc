#include "denier.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

namespace hsm {
namespace {

constexpr int kReaderPatienceMs = 2000;

bool AddressOf(const std::string& path, sockaddr_un* address) {
  if (path.size() >= sizeof address->sun_path)
    return false;
  address->sun_family = AF_UNIX;
  std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
  return true;
}

int Listen(const std::string& path) {
  sockaddr_un address = {};
  const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (listener < 0 || !AddressOf(path, &address))
    return -1;
  unlink(path.c_str());
  const mode_t before = umask(0077);
  const bool bound =
      bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(listener, 4) == 0;
  umask(before);
  if (bound)
    return listener;
  close(listener);
  return -1;
}

// proc_pid_mountinfo(5): field 3 is major:minor of the filesystem. btrfs shows an anonymous device there, so
// the mount point counts too.
bool AnyMounted(const std::vector<Filesystem>& filesystems) {
  FILE* mounts = std::fopen("/proc/self/mountinfo", "re");
  if (mounts == nullptr)
    return true;
  bool found = false;
  char* line = nullptr;
  size_t room = 0;
  while (!found && getline(&line, &room, mounts) > 0) {
    unsigned major, minor;
    if (std::sscanf(line, "%*d %*d %u:%u", &major, &minor) != 2)
      continue;
    for (const Filesystem& filesystem : filesystems)
      found = found || filesystem.superDevice == makedev(major, minor);
  }
  std::free(line);
  std::fclose(mounts);
  return found;
}

void SendGroup(int connection, int group) {
  char byte = 'g';
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &group, sizeof(int));
  if (sendmsg(connection, &message, MSG_NOSIGNAL) < 0)
    std::perror("hsm-keeper: hand over");
}

// True when the successor has marked what it guards and closed the connection; until then this process could
// still go on.
bool HandOver(int listener, Group& group, Readers& readers) {
  const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection < 0)
    return false;
  readers.Stop(kReaderPatienceMs);
  SendGroup(connection, group.fd());
  char answer = 0;
  pollfd wait = {connection, POLLIN, 0};
  const bool taken = poll(&wait, 1, 10'000) == 1 && recv(connection, &answer, 1, 0) == 1 && answer == 'k';
  close(connection);
  if (!taken)
    readers.Start(2);
  return taken;
}

} // namespace

void RunDenier(const std::string& socketPath, Group& group, Readers& readers,
               std::vector<Filesystem>& filesystems) {
  // The private mounts would keep the devices busy after an umount.
  for (Filesystem& filesystem : filesystems) {
    close(filesystem.rootFd);
    close(filesystem.treeFd);
  }
  readers.set_deny(true);
  readers.Start(2);
  const int listener = Listen(socketPath);
  const int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  while (AnyMounted(filesystems)) {
    pollfd wait[2] = {{mounts, POLLPRI, 0}, {listener, POLLIN, 0}};
    poll(wait, 2, 5000);
    readers.AddThreadIfStuck();
    if ((wait[1].revents & POLLIN) != 0 && HandOver(listener, group, readers))
      _exit(0);
  }
  unlink(socketPath.c_str());
  _exit(0);
}

int TakeOverGroup(const std::string& socketPath, int* connection) {
  sockaddr_un address = {};
  const int peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (peer < 0 || !AddressOf(socketPath, &address) ||
      connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(peer);
    return -1;
  }
  char byte;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  int group = -1;
  pollfd wait = {peer, POLLIN, 0};
  if (poll(&wait, 1, 10'000) == 1 && recvmsg(peer, &message, MSG_CMSG_CLOEXEC) == 1) {
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS)
      std::memcpy(&group, CMSG_DATA(rights), sizeof(int));
  }
  if (group < 0) {
    close(peer);
    return -1;
  }
  *connection = peer;
  return group;
}

} // namespace hsm
