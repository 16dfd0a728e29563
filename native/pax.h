#pragma once
// Members of a container: POSIX pax headers, written and parsed as docs/tape-format.md says.
#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <napi.h>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hsm {

constexpr size_t kTarUnit = 512;
// More metadata than this before one member is neither written nor believed.
constexpr size_t kMaxPaxBytes = 2 << 20;

using ObjectId = std::array<uint8_t, 16>;

// What a header says of a member. Views must outlive the call.
struct MemberHeader {
  char type = '0'; // '0' file, '1' hard link
  std::string_view name;
  std::string_view link;
  uint32_t mode = 0;
  uint64_t uid = 0;
  uint64_t gid = 0;
  uint64_t size = 0;    // of the file
  uint64_t payload = 0; // stored bytes; differs from size where sparse
  bool sparse = false;
  timespec atime{}, mtime{}, ctime{};
  const ObjectId* object = nullptr;
  const uint8_t* sha256 = nullptr;
  std::string_view handle; // raw bytes of the file handle
  std::string_view aclAccess, aclDefault;
  const std::vector<std::pair<std::string, std::string>>* xattrs = nullptr;
};

// Appends the pax header, its records and the ustar header: a multiple of 512 bytes.
void AppendMemberHeader(std::string& out, const MemberHeader& member);

struct ParsedMember {
  char type = '0';
  uint64_t headerLength = 0;
  uint64_t payload = 0;
  uint64_t size = 0;
  bool sparse = false;
  bool intact = false; // every byte of the header is as it was written
  std::string name;
  std::string link;
  int64_t mtimeNs = 0;
  std::optional<ObjectId> object;
  std::optional<std::array<uint8_t, 32>> sha256;
  std::string handle; // hex
};

enum class ParseStatus { ok, more, bad, end };

// Parses the member that starts at `data`, trusting nothing. `more`: at least `need` bytes are wanted in all.
// `end`: a zero unit, which ends the archive.
ParseStatus ParseMember(const uint8_t* data, size_t length, ParsedMember& out, size_t& need);

uint64_t PadToUnit(uint64_t length);
void AppendHex(std::string& out, const uint8_t* data, size_t length);

// parseMember(data): what ParseMember tells, for tools and tests.
void InitPax(Napi::Env env, Napi::Object exports);

} // namespace hsm
