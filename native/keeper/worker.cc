#include "worker.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "protocol.h"
#include "rights.h"

namespace hsm {
namespace {

constexpr int kSocketBuffer = 1 << 20;

void KeepAcrossExec(int fd) {
  fcntl(fd, F_SETFD, 0);
}

// The event's own fd where it can be written to, else the file opened anew. -1 and errno on failure.
int FileToRestore(const std::vector<Filesystem>& filesystems, const StubEvent& event) {
  const bool writable = !event.adopted && (fcntl(event.fd, F_GETFL) & O_ACCMODE) == O_RDWR;
  return writable ? event.fd : OpenByHandle(filesystems, event, O_RDWR);
}

// As the operator knows it. What was opened in a private mount has a path from that mount's root.
std::string PathOf(const std::vector<Filesystem>& filesystems, const StubEvent& event, int file) {
  char link[64], target[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, target, sizeof target);
  const std::string path(target, length > 0 ? static_cast<size_t>(length) : 0);
  return file == event.fd ? path : filesystems[event.filesystem].path + path;
}

} // namespace

std::string Worker::Fds(int socket) const {
  std::string fds = "HSM_KEEPER={\"socket\":" + std::to_string(socket) +
                    ",\"group\":" + std::to_string(group_.fd()) +
                    ",\"table\":" + std::to_string(table_.fd()) +
                    ",\"generation\":" + std::to_string(table_.Generation()) + ",\"mounts\":[";
  for (const Filesystem& filesystem : options_.filesystems) {
    if (&filesystem != &options_.filesystems.front())
      fds += ',';
    fds += std::to_string(filesystem.rootFd);
  }
  return fds + "],\"guard\":\"" + (group_.guardsAccess() ? "pre-access" : "open-only") +
         "\",\"managed\":" + (options_.managed ? "true" : "false") +
         ",\"json\":" + (options_.json ? "true}" : "false}");
}

bool Worker::Start() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    std::perror("hsm-keeper: socketpair");
    return false;
  }
  for (const int end : pair)
    setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
  // The number stays ours: an event must never get one that a successor needs for itself (table.h).
  if (socket_ >= 0) {
    dup3(pair[0], socket_, O_CLOEXEC);
    close(pair[0]);
  } else {
    socket_ = pair[0];
  }
  fcntl(socket_, F_SETFL, O_NONBLOCK);
  ready_ = stopped_ = false;
  stubsLeft_ = true;
  overflowsSent_ = 0;
  pending_.ForgetDeliveries();

  std::string fds = Fds(pair[1]);
  std::vector<char*> arguments;
  for (const std::string& word : options_.command)
    arguments.push_back(const_cast<char*>(word.data()));
  arguments.push_back(nullptr);
  // glibc gives each thread an arena of its own otherwise, which holds on to what a job used (mallopt(3)).
  std::string arenas = "MALLOC_ARENA_MAX=2";
  std::vector<char*> environment = {fds.data(), arenas.data()};
  for (char** variable = environ; *variable != nullptr; variable++)
    if (std::strncmp(*variable, "NOTIFY_SOCKET=", 14) != 0 && std::strncmp(*variable, "HSM_KEEPER=", 11) != 0)
      environment.push_back(*variable);
  environment.push_back(nullptr);

  const pid_t child = fork();
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    KeepAcrossExec(pair[1]);
    KeepAcrossExec(group_.fd());
    KeepAcrossExec(table_.fd());
    for (const Filesystem& filesystem : options_.filesystems)
      if (filesystem.rootFd >= 0)
        KeepAcrossExec(filesystem.rootFd);
    execve(arguments[0], arguments.data(), environment.data());
    std::fprintf(stderr, "hsm-keeper: cannot start %s: %s\n", arguments[0], std::strerror(errno));
    _exit(127);
  }
  close(pair[1]);
  if (child < 0) {
    std::perror("hsm-keeper: fork");
    return false;
  }
  pid_ = child;
  return true;
}

void Worker::Signal(int signal) const {
  if (pid_ > 0)
    kill(pid_, signal);
}

bool Worker::Reap(int* exitCode) {
  int status;
  if (pid_ <= 0 || waitpid(pid_, &status, WNOHANG) != pid_)
    return false;
  *exitCode = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  pid_ = 0;
  ready_ = false;
  return true;
}

bool Worker::Receive() {
  alignas(8) static char buffer[64 * 1024];
  for (;;) {
    const ssize_t length = recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (length < 0 && errno == EINTR)
      continue;
    if (length < 0)
      return errno == EAGAIN;
    if (length == 0)
      return false;
    switch (static_cast<MessageType>(buffer[0])) {
    case MessageType::kAnswer: {
      AnswerMessage answer;
      if (static_cast<size_t>(length) < sizeof answer)
        break;
      std::memcpy(&answer, buffer, sizeof answer);
      if (static_cast<size_t>(length) < sizeof answer + size_t{8} * answer.count)
        break;
      std::vector<uint64_t> ids(answer.count);
      std::memcpy(ids.data(), buffer + sizeof answer, size_t{8} * answer.count);
      pending_.Answer(ids, static_cast<int>(answer.error));
      break;
    }
    case MessageType::kReady:
      ready_ = true;
      break;
    case MessageType::kStopped:
      stopped_ = true;
      stubsLeft_ = length < 2 || buffer[1] != 0;
      break;
    case MessageType::kLetGo: {
      LetGoMessage message;
      if (static_cast<size_t>(length) < sizeof message)
        break;
      std::memcpy(&message, buffer, sizeof message);
      onLetGo_(message.filesystem);
      break;
    }
    default:
      std::fprintf(stderr, "hsm-keeper: message of unknown type %d from the daemon\n", buffer[0]);
    }
  }
}

bool Worker::Deliver() {
  StubEvent event;
  while (ready_ && pending_.NextUndelivered(&event)) {
    // It was mounted, and marked, just before.
    if (event.filesystem == kUnknownFilesystem && !event.adopted)
      event.filesystem = FilesystemOf(options_.filesystems, event.fd);
    const int file = FileToRestore(options_.filesystems, event);
    if (file < 0) {
      // A user's lease, or no more fds for a while.
      if (errno == EAGAIN || errno == EMFILE || errno == ENFILE) {
        pending_.Postpone(event.id);
        continue;
      }
      std::fprintf(stderr, "hsm-keeper: the file of event %llu cannot be opened: %s\n",
                   static_cast<unsigned long long>(event.id), std::strerror(errno));
      // A reader of a file that was removed meanwhile finds that out when it tries again.
      pending_.Answer(event.id, errno == ESTALE ? EAGAIN : EIO);
      continue;
    }
    const bool sent = SendEvent(event, file);
    if (file != event.fd)
      close(file);
    if (!sent)
      return false;
    pending_.Delivered(event.id);
    onDelivered_(event);
  }
  return true;
}

void Worker::SendGone(uint64_t id) {
  const IdMessage message{static_cast<uint8_t>(MessageType::kGone), {}, id};
  // Should the socket be full, the worker learns of it when it answers an event that no longer exists.
  (void)send(socket_, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Worker::SendOverflows() {
  const Table::Overflows overflows = table_.overflows();
  if (!ready_ || overflows.count == overflowsSent_)
    return;
  const OverflowMessage message{static_cast<uint8_t>(MessageType::kOverflow),
                                {},
                                static_cast<uint32_t>(overflows.count - overflows.told),
                                overflows.count,
                                overflows.lastMs};
  if (send(socket_, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    return; // tried again
  overflowsSent_ = overflows.count;
  table_.TellOverflows(overflows.count);
}

bool Worker::SendFilesystem(uint16_t index) {
  const Filesystem& filesystem = options_.filesystems[index];
  FilesystemMessage change = {};
  change.type = static_cast<uint8_t>(MessageType::kFilesystem);
  change.view = static_cast<uint8_t>(filesystem.view);
  change.filesystem = index;
  change.unguarded = filesystem.unguarded;
  change.superblock = filesystem.superblock;
  iovec part = {&change, sizeof change};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (filesystem.rootFd < 0 || filesystem.given)
    return sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
  return SendWithFds(socket_, message, {filesystem.rootFd}, MSG_DONTWAIT) >= 0;
}

bool Worker::SendEvent(const StubEvent& event, int file) {
  const std::string path = PathOf(options_.filesystems, event, file);
  EventMessage head{
      static_cast<uint8_t>(MessageType::kEvent), event.preAccess, event.filesystem, event.pid, event.uid,
      static_cast<uint32_t>(event.exe.size()),   event.id};
  iovec parts[3] = {{&head, sizeof head},
                    {const_cast<char*>(event.exe.data()), event.exe.size()},
                    {const_cast<char*>(path.data()), path.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 3;
  for (;;) {
    if (SendWithFds(socket_, message, {file}, MSG_DONTWAIT) >= 0)
      return true;
    if (errno == EINTR)
      continue;
    return false;
  }
}

} // namespace hsm
