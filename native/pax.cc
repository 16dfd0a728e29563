#include "pax.h"

#include "crc32c.h"
#include "utf8.h"

#include <charconv>
#include <cstring>

namespace hsm {
namespace {

struct Ustar {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[8]; // "ustar\0" "00"
  char userName[32];
  char groupName[32];
  char deviceMajor[8];
  char deviceMinor[8];
  char prefix[155];
  char unused[12];
};
static_assert(sizeof(Ustar) == kTarUnit);

constexpr uint64_t kMaxUstarId = 07777777;
constexpr uint64_t kMaxUstarSize = 077777777777;
constexpr std::string_view kCrcKey = "HSM.crc32c";
constexpr std::string_view kCrcZeros = "00000000";
constexpr std::string_view kSparseName = "GNUSparseFile.0/";

template <size_t N> void Octal(char (&field)[N], uint64_t value) {
  for (size_t i = N - 1; i-- > 0; value >>= 3)
    field[i] = static_cast<char>('0' + (value & 7));
  field[N - 1] = '\0';
}

// Sum of all bytes, those of the checksum itself counted as spaces. One plain loop, which the compiler makes
// wide.
unsigned Checksum(const Ustar& header) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
  unsigned sum = 0;
  for (size_t i = 0; i < sizeof header; i++)
    sum += bytes[i];
  for (const char c : header.checksum)
    sum -= static_cast<uint8_t>(c);
  return sum + sizeof header.checksum * ' ';
}

// Magic and checksum of a header that is complete but for them.
void Seal(Ustar& header) {
  memcpy(header.magic, "ustar\00000", 8);
  unsigned sum = Checksum(header);
  for (int i = 5; i >= 0; i--, sum >>= 3)
    header.checksum[i] = static_cast<char>('0' + (sum & 7));
  header.checksum[6] = '\0';
  header.checksum[7] = ' ';
}

size_t Digits(size_t value) {
  size_t digits = 1;
  for (; value >= 10; value /= 10)
    digits++;
  return digits;
}

// "LENGTH KEY=", where LENGTH counts the whole record "LENGTH KEY=VALUE\n".
void BeginRecord(std::string& out, std::string_view key, size_t valueSize) {
  const size_t body = key.size() + valueSize + 3;
  size_t length = body + Digits(body);
  if (Digits(length) != Digits(body))
    length = body + Digits(length);
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, length).ptr);
  out.push_back(' ');
  out.append(key);
  out.push_back('=');
}

void AppendRecord(std::string& out, std::string_view key, std::string_view value) {
  BeginRecord(out, key, value.size());
  out.append(value);
  out.push_back('\n');
}

void AppendNumber(std::string& out, std::string_view key, uint64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  AppendRecord(out, key, {digits, static_cast<size_t>(end - digits)});
}

void AppendHexRecord(std::string& out, std::string_view key, const uint8_t* data, size_t length) {
  BeginRecord(out, key, 2 * length);
  AppendHex(out, data, length);
  out.push_back('\n');
}

// Decimal seconds with nine places. A time before 1970 is the negative of its distance, as in GNU tar.
void AppendTime(std::string& out, std::string_view key, timespec time) {
  int64_t seconds = time.tv_sec;
  int64_t nanos = time.tv_nsec;
  char text[40];
  char* end = text;
  if (seconds < 0 && nanos > 0) {
    seconds += 1;
    nanos = 1000000000 - nanos;
    if (seconds == 0)
      *end++ = '-';
  }
  end = std::to_chars(end, text + sizeof text, seconds).ptr;
  *end++ = '.';
  for (int64_t scale = 100000000; scale > 0; scale /= 10)
    *end++ = static_cast<char>('0' + nanos / scale % 10);
  AppendRecord(out, key, {text, static_cast<size_t>(end - text)});
}

bool IsAscii(std::string_view text) {
  for (const char c : text)
    if (static_cast<uint8_t>(c) >= 0x80)
      return false;
  return true;
}

// GNU tar's escape, since '=' ends a keyword.
std::string XattrKey(const std::string& name) {
  std::string key = "SCHILY.xattr.";
  for (const char c : name) {
    if (c == '=')
      key += "%3D";
    else if (c == '%')
      key += "%25";
    else
      key += c;
  }
  return key;
}

void AppendPaxRecords(std::string& records, const MemberHeader& member) {
  if (!IsUtf8(member.name) || !IsUtf8(member.link))
    AppendRecord(records, "hdrcharset", "BINARY");
  if (member.sparse) {
    AppendRecord(records, "GNU.sparse.major", "1");
    AppendRecord(records, "GNU.sparse.minor", "0");
    AppendRecord(records, "GNU.sparse.name", member.name);
    AppendNumber(records, "GNU.sparse.realsize", member.size);
  } else if (member.name.size() > sizeof Ustar::name || !IsAscii(member.name)) {
    AppendRecord(records, "path", member.name);
  }
  if (member.link.size() > sizeof Ustar::link || !IsAscii(member.link))
    AppendRecord(records, "linkpath", member.link);
  if (member.payload > kMaxUstarSize)
    AppendNumber(records, "size", member.payload);
  AppendTime(records, "mtime", member.mtime);
  AppendTime(records, "atime", member.atime);
  AppendTime(records, "ctime", member.ctime);
  if (member.uid > kMaxUstarId)
    AppendNumber(records, "uid", member.uid);
  if (member.gid > kMaxUstarId)
    AppendNumber(records, "gid", member.gid);
  if (!member.aclAccess.empty())
    AppendRecord(records, "SCHILY.acl.access", member.aclAccess);
  if (!member.aclDefault.empty())
    AppendRecord(records, "SCHILY.acl.default", member.aclDefault);
  if (member.xattrs != nullptr)
    for (const auto& [name, value] : *member.xattrs)
      AppendRecord(records, XattrKey(name), value);
  if (member.object != nullptr)
    AppendHexRecord(records, "HSM.object", member.object->data(), member.object->size());
  if (member.sha256 != nullptr)
    AppendHexRecord(records, "HSM.sha256", member.sha256, 32);
  if (!member.handle.empty())
    AppendHexRecord(records, "HSM.handle", reinterpret_cast<const uint8_t*>(member.handle.data()),
                    member.handle.size());
}

void SetName(char (&field)[100], std::string_view name) {
  name.copy(field, sizeof field);
}

// Octal digits that end at a NUL or a space; blanks before them are allowed.
bool ReadOctal(const char* field, size_t width, uint64_t& out) {
  size_t i = 0;
  while (i < width && field[i] == ' ')
    i++;
  uint64_t value = 0;
  bool any = false;
  for (; i < width && field[i] >= '0' && field[i] <= '7'; i++) {
    value = value << 3 | static_cast<uint64_t>(field[i] - '0');
    any = true;
  }
  if (i < width && field[i] != '\0' && field[i] != ' ')
    return false;
  out = value;
  return any;
}

bool ReadDecimal(std::string_view text, uint64_t& out) {
  if (text.empty() || text.size() > 18)
    return false;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return -1;
}

template <size_t N> bool ReadHex(std::string_view text, std::array<uint8_t, N>& out) {
  if (text.size() != N * 2)
    return false;
  for (size_t i = 0; i < N; i++) {
    const int high = HexDigit(text[i * 2]);
    const int low = HexDigit(text[i * 2 + 1]);
    if (high < 0 || low < 0)
      return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

bool ReadTime(std::string_view text, int64_t& ns) {
  const bool negative = !text.empty() && text[0] == '-';
  if (negative)
    text.remove_prefix(1);
  const size_t dot = text.find('.');
  uint64_t seconds = 0;
  if (!ReadDecimal(text.substr(0, dot), seconds))
    return false;
  uint64_t nanos = 0;
  if (dot != std::string_view::npos) {
    const std::string_view places = text.substr(dot + 1);
    if (places.size() > 9 || !ReadDecimal(places, nanos))
      return false;
    for (size_t i = places.size(); i < 9; i++)
      nanos *= 10;
  }
  // Wraps after the year 2262, as every nanosecond count of 64 bits here does.
  const uint64_t sum = seconds * 1000000000 + nanos;
  ns = static_cast<int64_t>(negative ? 0 - sum : sum);
  return true;
}

bool IsHeader(const Ustar& header) {
  uint64_t sum = 0;
  return memcmp(header.magic, "ustar\00000", 8) == 0 &&
         ReadOctal(header.checksum, sizeof header.checksum, sum) && sum == Checksum(header);
}

struct Records {
  std::optional<std::string_view> path, link, sparseName;
  std::optional<uint64_t> size, realSize;
  int sparseMajor = -1, sparseMinor = -1;
};

bool TakeRecord(std::string_view key, std::string_view value, Records& records, ParsedMember& out) {
  uint64_t number = 0;
  if (key == "path") {
    records.path = value;
  } else if (key == "linkpath") {
    records.link = value;
  } else if (key == "GNU.sparse.name") {
    records.sparseName = value;
  } else if (key == "size") {
    if (!ReadDecimal(value, number))
      return false;
    records.size = number;
  } else if (key == "GNU.sparse.realsize") {
    if (!ReadDecimal(value, number))
      return false;
    records.realSize = number;
  } else if (key == "GNU.sparse.major") {
    records.sparseMajor = value == "1" ? 1 : 99;
  } else if (key == "GNU.sparse.minor") {
    records.sparseMinor = value == "0" ? 0 : 99;
  } else if (key == "mtime") {
    return ReadTime(value, out.mtimeNs);
  } else if (key == "HSM.object") {
    return ReadHex(value, out.object.emplace());
  } else if (key == "HSM.sha256") {
    return ReadHex(value, out.sha256.emplace());
  } else if (key == "HSM.handle") {
    out.handle = value;
  }
  return true;
}

bool ParseRecords(std::string_view text, Records& records, ParsedMember& out) {
  while (!text.empty()) {
    const size_t space = text.find(' ');
    uint64_t length = 0;
    if (space == std::string_view::npos || !ReadDecimal(text.substr(0, space), length))
      return false;
    if (length > text.size() || length < space + 3 || text[length - 1] != '\n')
      return false;
    const std::string_view record = text.substr(space + 1, length - space - 2);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return false;
    if (!TakeRecord(record.substr(0, equals), record.substr(equals + 1), records, out))
      return false;
    text.remove_prefix(length);
  }
  return true;
}

// Where the digits of the last record stand, after it was made sure that it is the CRC's; 0 otherwise.
size_t CrcPlace(const char* header, size_t recordBytes) {
  constexpr std::string_view before = "23 HSM.crc32c=";
  if (recordBytes < before.size() + kCrcZeros.size() + 1)
    return 0;
  const size_t place = kTarUnit + recordBytes - 1 - kCrcZeros.size();
  return before == std::string_view(header + place - before.size(), before.size()) ? place : 0;
}

// Of all the header's bytes, with zeros for its own digits.
std::string HeaderCrc(const char* header, size_t length, size_t place) {
  uint32_t crc = Crc32c(header, place);
  crc = Crc32c(kCrcZeros.data(), kCrcZeros.size(), crc);
  const size_t after = place + kCrcZeros.size();
  crc = Crc32c(header + after, length - after, crc);
  const uint8_t bytes[] = {static_cast<uint8_t>(crc >> 24), static_cast<uint8_t>(crc >> 16),
                           static_cast<uint8_t>(crc >> 8), static_cast<uint8_t>(crc)};
  std::string text;
  AppendHex(text, bytes, sizeof bytes);
  return text;
}

void WriteCrc(char* header, size_t length, size_t recordBytes) {
  const size_t place = CrcPlace(header, recordBytes);
  const std::string crc = HeaderCrc(header, length, place);
  memcpy(header + place, crc.data(), crc.size());
}

bool HasRightCrc(const char* header, size_t length, size_t recordBytes) {
  const size_t place = CrcPlace(header, recordBytes);
  return place != 0 && HeaderCrc(header, length, place) == std::string_view(header + place, kCrcZeros.size());
}

std::string FieldText(const char* field, size_t width) {
  return {field, strnlen(field, width)};
}

Napi::Value ParseMemberJs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto data = info[0].As<Napi::Buffer<uint8_t>>();
  ParsedMember member;
  size_t need = 0;
  const ParseStatus status = ParseMember(data.Data(), data.Length(), member, need);
  const auto out = Napi::Object::New(env);
  static constexpr const char* names[] = {"ok", "more", "bad", "end"};
  out.Set("status", names[static_cast<int>(status)]);
  if (status == ParseStatus::more)
    out.Set("need", static_cast<double>(need));
  if (status != ParseStatus::ok)
    return out;
  out.Set("type", std::string(1, member.type));
  out.Set("headerLength", static_cast<double>(member.headerLength));
  out.Set("payload", static_cast<double>(member.payload));
  out.Set("size", static_cast<double>(member.size));
  out.Set("sparse", member.sparse);
  out.Set("intact", member.intact);
  out.Set("name", Napi::Buffer<char>::Copy(env, member.name.data(), member.name.size()));
  out.Set("link", Napi::Buffer<char>::Copy(env, member.link.data(), member.link.size()));
  out.Set("mtimeNs", Napi::BigInt::New(env, member.mtimeNs));
  out.Set("object", member.object
                        ? Napi::Buffer<uint8_t>::Copy(env, member.object->data(), 16).As<Napi::Value>()
                        : env.Null());
  out.Set("sha256", member.sha256
                        ? Napi::Buffer<uint8_t>::Copy(env, member.sha256->data(), 32).As<Napi::Value>()
                        : env.Null());
  out.Set("handle", member.handle);
  return out;
}

} // namespace

void AppendMemberHeader(std::string& out, const MemberHeader& member) {
  const size_t start = out.size();
  // The pax header tells how long the records are, which come behind it.
  out.resize(start + sizeof(Ustar));
  AppendPaxRecords(out, member);
  AppendRecord(out, kCrcKey, kCrcZeros);
  const size_t recordBytes = out.size() - start - sizeof(Ustar);
  Ustar pax{};
  SetName(pax.name, "PaxHeaders/member");
  Octal(pax.mode, 0600);
  Octal(pax.uid, 0);
  Octal(pax.gid, 0);
  Octal(pax.size, recordBytes);
  Octal(pax.mtime, 0);
  pax.type = 'x';
  Seal(pax);
  memcpy(out.data() + start, &pax, sizeof pax);
  out.append(PadToUnit(recordBytes) - recordBytes, '\0');

  Ustar header{};
  if (member.sparse) {
    std::string name(kSparseName);
    name.append(member.name.substr(member.name.rfind('/') + 1));
    SetName(header.name, name);
  } else {
    SetName(header.name, member.name);
  }
  SetName(header.link, member.link);
  Octal(header.mode, member.mode & 07777);
  Octal(header.uid, std::min<uint64_t>(member.uid, kMaxUstarId));
  Octal(header.gid, std::min<uint64_t>(member.gid, kMaxUstarId));
  Octal(header.size, member.payload > kMaxUstarSize ? 0 : member.payload);
  Octal(header.mtime, member.mtime.tv_sec < 0 ? 0 : std::min<uint64_t>(member.mtime.tv_sec, kMaxUstarSize));
  header.type = member.type;
  Seal(header);
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
  WriteCrc(out.data() + start, out.size() - start, recordBytes);
}

ParseStatus ParseMember(const uint8_t* data, size_t length, ParsedMember& out, size_t& need) {
  need = 3 * kTarUnit;
  if (length < kTarUnit)
    return ParseStatus::more;
  Ustar pax;
  memcpy(&pax, data, sizeof pax);
  if (pax.name[0] == '\0' && pax.magic[0] == '\0' &&
      std::string_view(reinterpret_cast<const char*>(data), kTarUnit).find_first_not_of('\0') ==
          std::string_view::npos)
    return ParseStatus::end;
  uint64_t recordBytes = 0;
  if (!IsHeader(pax) || pax.type != 'x' || !ReadOctal(pax.size, sizeof pax.size, recordBytes) ||
      recordBytes > kMaxPaxBytes)
    return ParseStatus::bad;
  need = 2 * kTarUnit + PadToUnit(recordBytes);
  if (length < need)
    return ParseStatus::more;
  out = ParsedMember{};
  Records records;
  if (!ParseRecords({reinterpret_cast<const char*>(data) + kTarUnit, recordBytes}, records, out))
    return ParseStatus::bad;
  Ustar header;
  memcpy(&header, data + need - kTarUnit, sizeof header);
  uint64_t size = 0;
  if (!IsHeader(header) || !ReadOctal(header.size, sizeof header.size, size) ||
      (header.type != '0' && header.type != '1'))
    return ParseStatus::bad;
  out.type = header.type;
  out.headerLength = need;
  out.intact = HasRightCrc(reinterpret_cast<const char*>(data), need, recordBytes);
  out.payload = records.size.value_or(size);
  out.sparse = records.sparseMajor >= 0;
  if (out.sparse &&
      (records.sparseMajor != 1 || records.sparseMinor != 0 || !records.realSize || !records.sparseName))
    return ParseStatus::bad;
  // A hard link's size is that of the file it names; it has no payload.
  if (out.type == '1' && (out.sparse || out.payload != 0))
    return ParseStatus::bad;
  out.size = out.sparse ? *records.realSize : out.payload;
  const auto name = out.sparse ? records.sparseName : records.path;
  out.name = name ? std::string(*name) : FieldText(header.name, sizeof header.name);
  out.link = records.link ? std::string(*records.link) : FieldText(header.link, sizeof header.link);
  return ParseStatus::ok;
}

uint64_t PadToUnit(uint64_t length) {
  return (length + kTarUnit - 1) / kTarUnit * kTarUnit;
}

void AppendHex(std::string& out, const uint8_t* data, size_t length) {
  static constexpr char digits[] = "0123456789abcdef";
  const size_t at = out.size();
  out.resize(at + 2 * length);
  char* to = out.data() + at;
  for (size_t i = 0; i < length; i++) {
    *to++ = digits[data[i] >> 4];
    *to++ = digits[data[i] & 15];
  }
}

void InitPax(Napi::Env env, Napi::Object exports) {
  exports.Set("parseMember", Napi::Function::New(env, ParseMemberJs, "parseMember"));
}

} // namespace hsm
