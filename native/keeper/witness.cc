#include "witness.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "table.h"

namespace hsm {
namespace {

constexpr char kDismissed = 'q', kDenies = 'd', kReplace = 'r';
constexpr int kTickMs = 1000;
constexpr int kForeground[] = {SIGINT, SIGTERM, SIGHUP};

// Whoever reads the daemon's output must see its end.
void LetGoOfStandardStreams() {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int stream : {0, 1, 2})
    dup2(null, stream);
  close(null);
}

void SetAll(void (*handler)(int)) {
  for (const int signal : kForeground)
    std::signal(signal, handler);
}

} // namespace

bool Witness::Start(const Options& options, const Holdings& holdings, unsigned generation) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return false;
  std::vector<std::string> words = WitnessWords(options, holdings, generation, ends[0]);
  std::vector<char*> arguments;
  for (std::string& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    // Only calls that are safe beside other threads.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    setsid(); // a terminal's ^C is the keeper's
    for (const int kept : {holdings.group, holdings.table, ends[0]})
      fcntl(kept, F_SETFD, 0);
    execv("/proc/self/exe", arguments.data());
    _exit(127);
  }
  close(ends[0]);
  if (child < 0) {
    close(ends[1]);
    return false;
  }
  // The number stays ours (table.h, kFirstEventFd).
  if (pipe_ >= 0) {
    dup3(ends[1], pipe_, O_CLOEXEC);
    close(ends[1]);
  } else {
    pipe_ = ends[1];
  }
  pid_ = child;
  return true;
}

bool Witness::Reap() {
  if (pid_ <= 0 || waitpid(pid_, nullptr, WNOHANG) != pid_)
    return false;
  pid_ = 0;
  return true;
}

bool Witness::IsThere() const {
  pollfd pipe = {pipe_, 0, 0}; // POLLERR: nobody has its other end
  return pipe_ >= 0 && poll(&pipe, 1, 0) == 0;
}

void Witness::Say(char word) {
  if (pipe_ >= 0)
    (void)!write(pipe_, &word, 1);
}

void Witness::Dismiss() {
  Say(kDismissed);
  close(pipe_);
  pipe_ = -1;
}

void Witness::WatchDenier() {
  Say(kDenies);
}

void Witness::Replace() {
  Say(kReplace);
}

Role AwaitTurn(const Options& options) {
  SetAll(SIG_IGN);
  Role role = Role::kKeeper;
  for (bool mustWait = true; mustWait;) {
    char word;
    const ssize_t length = read(options.witnessPipe, &word, 1);
    if (length == 1 && word == kDismissed)
      _exit(0);
    if (length == 1) {
      role = Role::kDenier;
      LetGoOfStandardStreams();
    }
    mustWait = length < 0 || (length == 1 && word == kDenies);
  }
  // The pipe stays open: its other end may still want to know that this process is there.
  SetAll(SIG_DFL);
  return role;
}

void RunHolder(const Options& options) {
  SetAll(SIG_IGN);
  const int lock = open((options.lockFile + ".holder").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  // Only another holder makes this one superfluous; without a lock file it holds on all the same.
  if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    _exit(0);
  Table table;
  const bool isMapped = table.Adopt(options.inherited.table).empty();
  std::fprintf(stderr, "hsm-keeper: the keeper died; readers wait until the daemon is started again\n");
  // Until a keeper has succeeded.
  for (Giver giver(options.socketPath, options.inherited);
       !isMapped || table.Generation() == options.generation;)
    giver.Wait(kTickMs);
  _exit(0);
}

} // namespace hsm
