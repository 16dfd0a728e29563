// Passes the group and the table of events from whoever holds them to the next keeper, over a socket in the
// state folder.
#pragma once
#include <string>

namespace hsm {

struct Holdings {
  int group = -1;
  int table = -1;
};

// A socket that the next keeper connects to; -1 and errno on failure. Replaces what is there.
int ListenForSuccessor(const std::string& socketPath);

// Waits for a successor that connected to `listener` to say that it guards the filesystems. Until then, and
// after false, the caller still holds everything and could go on.
bool HandOver(int listener, const Holdings& holdings);

// Asks whoever listens on socketPath. False when nobody does. The holder goes on holding until
// ConfirmTakeover(*connection).
bool TakeOver(const std::string& socketPath, Holdings* holdings, int* connection);
// Returns when the holder has ended: what it had taken from the group it has answered, or never will.
void ConfirmTakeover(int connection);

} // namespace hsm
