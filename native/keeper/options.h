// The keeper's command line.
#pragma once
#include <string>
#include <vector>

#include "group.h"
#include "handover.h"
#include "mounting.h"

namespace hsm {

struct Options {
  std::string program; // as it was started
  std::string lockFile, socketPath;
  std::vector<Filesystem> filesystems;
  std::vector<std::string> command; // of the worker
  bool readWriteEvents = false;     // event fds O_RDWR instead of O_RDONLY
  // A service manager starts the daemon again: who survives a keeper holds on until then.
  bool managed = false;
  bool json = false;       // errors at the start are JSON objects
  Holdings inherited;      // of a keeper that died, from its witness or worker
  unsigned generation = 0; // of that keeper (table.h)
  Holdings stored;         // from the service manager's fd store
  int witnessPipe = -1;    // this process is the witness of the keeper at the other end
  MountRequest mount;      // with a target: mounts that, and runs no daemon
};

bool ParseOptions(int count, char** words, Options* options);

// The command line of a witness: it holds these, and watches that pipe.
std::vector<std::string> WitnessWords(const Options& options, const Holdings& holdings, unsigned generation,
                                      int pipe);

extern const char kUsage[];

} // namespace hsm
