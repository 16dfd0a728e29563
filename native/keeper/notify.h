// sd_notify(3) without libsystemd.
#pragma once
#include <string>
#include <vector>

namespace hsm {

// True when a service manager started this process and listens.
bool HasManager();

// Tells the service manager; silently nothing when there is none. `fd`: passed along (FDSTORE=1).
void Notify(const std::string& state, int fd = -1);

} // namespace hsm
