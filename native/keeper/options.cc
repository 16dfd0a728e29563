#include "options.h"

#include <cstdlib>

namespace hsm {

const char kUsage[] =
    "usage: hsm-keeper --lock FILE --takeover SOCKET [--event-fd rdonly|rdwr] [--managed] [--json]\n"
    "                  [--group FD --table FD --generation N] [--stored-group FD --stored-table FD]\n"
    "                  [--mount-source DEVICE --mount-type TYPE --mount-at DIR [--mount-set KEY[=VALUE]]...\n"
    "                   [--mount-attributes N] [--mount-under PID]]\n"
    "                  --filesystem PATH... -- DAEMON [ARGUMENT...]\n"
    "hsm-keeper is started by 'hsm daemon' and 'hsm mount'\n";

bool ParseOptions(int count, char** words, Options* options) {
  options->program = words[0];
  for (int i = 1; i < count; i++) {
    const std::string word = words[i];
    if (word == "--") {
      options->command.assign(words + i + 1, words + count);
      break;
    }
    if (word == "--managed") {
      options->managed = true;
      continue;
    }
    if (word == "--json") {
      options->json = true;
      continue;
    }
    if (i + 1 == count)
      return false;
    const std::string value = words[++i];
    if (word == "--lock")
      options->lockFile = value;
    else if (word == "--takeover")
      options->socketPath = value;
    else if (word == "--event-fd" && (value == "rdonly" || value == "rdwr"))
      options->readWriteEvents = value == "rdwr";
    else if (word == "--group")
      options->inherited.group = std::atoi(value.c_str());
    else if (word == "--table")
      options->inherited.table = std::atoi(value.c_str());
    else if (word == "--generation")
      options->generation = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    else if (word == "--stored-group")
      options->stored.group = std::atoi(value.c_str());
    else if (word == "--stored-table")
      options->stored.table = std::atoi(value.c_str());
    else if (word == "--witness")
      options->witnessPipe = std::atoi(value.c_str());
    else if (word == "--filesystem")
      options->filesystems.emplace_back().path = value;
    else if (word == "--mount-source")
      options->mount.source = value;
    else if (word == "--mount-type")
      options->mount.type = value;
    else if (word == "--mount-at")
      options->mount.target = value;
    else if (word == "--mount-set")
      options->mount.settings.push_back(value);
    else if (word == "--mount-attributes")
      options->mount.attributes = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    else if (word == "--mount-under")
      options->mount.keeper = std::atoi(value.c_str());
    else
      return false;
  }
  return !options->lockFile.empty() && !options->socketPath.empty() && !options->filesystems.empty() &&
         !options->command.empty() && (options->inherited.group < 0) == (options->inherited.table < 0) &&
         (options->stored.group < 0) == (options->stored.table < 0);
}

std::vector<std::string> WitnessWords(const Options& options, const Holdings& holdings, unsigned generation,
                                      int pipe) {
  std::vector<std::string> words = {options.program,
                                    "--lock",
                                    options.lockFile,
                                    "--takeover",
                                    options.socketPath,
                                    "--event-fd",
                                    options.readWriteEvents ? "rdwr" : "rdonly",
                                    "--group",
                                    std::to_string(holdings.group),
                                    "--table",
                                    std::to_string(holdings.table),
                                    "--generation",
                                    std::to_string(generation),
                                    "--witness",
                                    std::to_string(pipe)};
  if (options.managed)
    words.push_back("--managed");
  for (const Filesystem& filesystem : options.filesystems)
    words.insert(words.end(), {"--filesystem", filesystem.path});
  words.push_back("--");
  words.insert(words.end(), options.command.begin(), options.command.end());
  return words;
}

} // namespace hsm
