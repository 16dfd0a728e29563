// hsm-keeper: owns the fanotify group, answers resident files itself, remembers every stub event until it is
// answered, and keeps the daemon running. It has no policy and parses no file content; docs/design.md
// "Processes".
#include <cstdio>
#include <sys/prctl.h>
#include <utility>

#include "keeper.h"
#include "mounting.h"
#include "notify.h"
#include "options.h"
#include "process.h"
#include "witness.h"

int main(int count, char** words) {
  hsm::Options options;
  if (!hsm::ParseOptions(count, words, &options)) {
    std::fputs(hsm::kUsage, stderr);
    return 2;
  }
  // A witness is started as /proc/self/exe.
  prctl(PR_SET_NAME, "hsm-keeper");
  hsm::CloseStrayFds(options);
  options.managed = options.managed || hsm::HasManager();
  hsm::Role role = hsm::Role::kKeeper;
  if (options.witnessPipe >= 0) {
    role = hsm::AwaitTurn(options);
    options.witnessPipe = -1;
  }
  if (role == hsm::Role::kDenier)
    hsm::Keeper(std::move(options)).DenyInherited();
  if (options.inherited.group >= 0 && options.managed)
    hsm::RunHolder(options);
  if (options.mount.keeper > 0)
    return hsm::MountUnderKeeper(options.mount);
  if (!options.mount.target.empty())
    return hsm::Keeper(std::move(options)).MountAndDeny();
  return hsm::Keeper(std::move(options)).Run();
}
