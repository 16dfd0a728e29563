// Passes the group and the table of events from whoever holds them to the next keeper, over a socket in the
// state folder. Giving changes nothing: whoever gave goes on as it was until the table's generation says that
// somebody has succeeded it.
#pragma once
#include <sys/types.h>

#include <string>

namespace hsm {

struct Holdings {
  int group = -1;
  int table = -1;
};

// The side of whoever holds.
class Giver {
public:
  Giver(std::string socketPath, const Holdings& holdings)
      : socketPath_(std::move(socketPath)), holdings_(holdings) {}

  // Gives to whoever connects. Returns after `timeoutMs`, or sooner when the one who was given to has let go
  // of its connection, or when `other` has something urgent (POLLPRI); true when that is so. Listens anew
  // when somebody took the socket's file away.
  bool Wait(int timeoutMs, int other = -1);

private:
  void Listen();
  void Give();

  std::string socketPath_;
  Holdings holdings_;
  int listener_ = -1, successor_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Asks whoever listens on socketPath. False when nobody does, or does not answer. To be closed when this
// process has succeeded, or failed: `connection`.
bool TakeOver(const std::string& socketPath, Holdings* holdings, int* connection);

} // namespace hsm
