// Who holds a group that guards these filesystems already, whatever its state folder.
#pragma once
#include <string>
#include <vector>

#include "group.h"

namespace hsm {

// One phrase that names those processes and the filesystem; empty when there are none. A second group beside
// a living one that nobody reads would let readers wait for ever, or through when the first one goes.
std::string HoldersOf(const std::vector<Filesystem>& filesystems);

} // namespace hsm
