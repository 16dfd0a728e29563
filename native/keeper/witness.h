// A process of a few pages that holds the group and the table of events while the keeper lives, and sees it
// die, even together with its worker: it then becomes the next keeper, or holds on until a service manager
// has started one.
#pragma once
#include <sys/types.h>

#include "handover.h"
#include "options.h"

namespace hsm {

// The keeper's side.
class Witness {
public:
  bool Start(const Options& options, const Holdings& holdings, unsigned generation);
  // Reaps it; true when it has ended.
  bool Reap();
  // False once it has ended; for a process that is not its parent.
  bool IsThere() const;
  // The process ends in good order: nothing is to be held.
  void Dismiss();
  // From now on this process is a denier, and the witness would be the next.
  void WatchDenier();
  // The witness is to be a denier in this process's place, now.
  void Replace();

private:
  void Say(char word);

  int pipe_ = -1;
  pid_t pid_ = 0;
};

enum class Role { kKeeper, kDenier };

// The witness's side: returns when it is to take the place of whoever holds the other end of
// options.witnessPipe, and as what; ends the process when it was dismissed.
Role AwaitTurn(const Options& options);

// Holds until a successor has taken over; ends the process. One holder for a lock file is enough.
[[noreturn]] void RunHolder(const Options& options);

} // namespace hsm
