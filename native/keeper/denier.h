// What is left of the keeper after a clean stop: denies every access to a stub with EAGAIN, so that nobody
// reads zeros, until the next `hsm daemon` takes the group over or the filesystems' last mounts are gone.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "group.h"
#include "handover.h"
#include "readers.h"
#include "table.h"

namespace hsm {

// Returns when there is nothing left to deny, or `onTick`, which is called every second or so, returned
// false: somebody has succeeded.
void RunDenier(const std::string& socketPath, const Holdings& holdings, Table& table, Readers& readers,
               std::vector<Filesystem>& filesystems, const std::function<bool()>& onTick);

} // namespace hsm
