#include "container.h"

#include "sha256.h"
#include "utf8.h"
#include <algorithm>
#include <charconv>
#include <cstring>

namespace hsm {
namespace {

constexpr size_t kPieceSize = 1 << 20;

void AppendDecimal(std::string& out, uint64_t value) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void AppendKey(std::string& out, std::string_view key) {
  out += out.empty() ? "{\"" : ",\"";
  out += key;
  out += "\":";
}

void AppendNumber(std::string& out, std::string_view key, uint64_t value) {
  AppendKey(out, key);
  AppendDecimal(out, value);
}

void AppendHexString(std::string& out, std::string_view key, const uint8_t* data, size_t length) {
  AppendKey(out, key);
  out += '"';
  AppendHex(out, data, length);
  out += '"';
}

void AppendEscaped(std::string& out, char c) {
  switch (c) {
  case '"':
    out += "\\\"";
    return;
  case '\\':
    out += "\\\\";
    return;
  default:
    if (static_cast<uint8_t>(c) < 0x20) {
      const auto byte = static_cast<uint8_t>(c);
      out += "\\u00";
      AppendHex(out, &byte, 1);
    } else {
      out += c;
    }
  }
}

// Nothing in it has to be escaped.
bool IsPlain(std::string_view text) {
  bool plain = true;
  for (const char c : text)
    plain &= static_cast<uint8_t>(c) >= 0x20 && c != '"' && c != '\\';
  return plain;
}

void AppendBase64(std::string& out, std::string_view bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; k++)
      bits = bits << 8 | (k < have ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; k++)
      out += k <= have ? digits[bits >> (18 - 6 * k) & 63] : '=';
  }
}

// A name that is not UTF-8 shows U+FFFD for each byte above 0x7f, and its bytes under `<key>Base64`.
void AppendName(std::string& out, std::string_view key, std::string_view name) {
  const bool readable = IsUtf8(name);
  AppendKey(out, key);
  out += '"';
  if (readable && IsPlain(name)) {
    out += name;
  } else {
    for (const char c : name) {
      if (readable || static_cast<uint8_t>(c) < 0x80)
        AppendEscaped(out, c);
      else
        out += "\xef\xbf\xbd";
    }
  }
  out += '"';
  if (readable)
    return;
  AppendKey(out, std::string(key) + "Base64");
  out += '"';
  AppendBase64(out, name);
  out += '"';
}

void AppendPlace(std::string& out, const MemberRow& row) {
  AppendNumber(out, "offset", row.offset);
  AppendNumber(out, "length", row.length);
  AppendNumber(out, "header", row.headerLength);
  AppendNumber(out, "size", row.size);
  AppendHexString(out, "object", row.object.data(), row.object.size());
}

void AppendNanoseconds(std::string& out, std::string_view key, int64_t ns) {
  AppendKey(out, key);
  out += '"';
  if (ns < 0)
    out += '-';
  AppendDecimal(out, ns < 0 ? 0 - static_cast<uint64_t>(ns) : static_cast<uint64_t>(ns));
  out += '"';
}

} // namespace

void IndexText::AddMember(const MemberRow& row, std::string_view name, std::string_view handle,
                          uint64_t payload, bool sparse) {
  std::string& line = Begin();
  AppendName(line, "name", name);
  AppendPlace(line, row);
  if (sparse)
    AppendNumber(line, "stored", payload);
  AppendHexString(line, "sha256", row.sha256.data(), row.sha256.size());
  AppendNanoseconds(line, "mtimeNs", row.mtimeNs);
  if (!handle.empty())
    AppendHexString(line, "handle", reinterpret_cast<const uint8_t*>(handle.data()), handle.size());
  End();
}

void IndexText::AddLink(const MemberRow& row, std::string_view name, std::string_view target) {
  std::string& line = Begin();
  AppendName(line, "name", name);
  AppendPlace(line, row);
  AppendName(line, "link", target);
  End();
}

void IndexText::AddVoid(const MemberRow& row, std::string_view name, std::string_view reason) {
  std::string& line = Begin();
  AppendName(line, "name", name);
  AppendPlace(line, row);
  AppendName(line, "void", reason);
  End();
}

void IndexText::AddEnd(uint64_t offset, std::string_view filesystem) {
  std::string& line = Begin();
  AppendName(line, "format", "hsm-index-end");
  AppendNumber(line, "offset", offset);
  AppendNumber(line, "members", lines_);
  if (!filesystem.empty())
    AppendName(line, "filesystem", filesystem);
  End();
}

std::string& IndexText::Begin() {
  line_.clear();
  return line_;
}

void IndexText::End() {
  if (pieces_.empty() || pieces_.back().size() + line_.size() + 2 > kPieceSize) {
    pieces_.emplace_back();
    pieces_.back().reserve(std::min<size_t>(kPieceSize, pieces_.size() * 65536));
  }
  std::string& piece = pieces_.back();
  piece += line_;
  piece += "}\n";
  size_ += line_.size() + 2;
  lines_++;
}

uint8_t* Container::Space(size_t& available) {
  if (used_ == blockSize_)
    Flush();
  if (block_ == nullptr)
    block_ = sink_.Acquire();
  available = blockSize_ - used_;
  return block_ + used_;
}

void Container::Advance(size_t length) {
  used_ += length;
  offset_ += length;
}

void Container::Append(const void* data, size_t length) {
  const auto* from = static_cast<const uint8_t*>(data);
  while (length > 0) {
    size_t available;
    uint8_t* to = Space(available);
    const size_t part = std::min(available, length);
    memcpy(to, from, part);
    Advance(part);
    from += part;
    length -= part;
  }
}

void Container::AppendZeros(uint64_t length) {
  while (length > 0) {
    size_t available;
    uint8_t* to = Space(available);
    const size_t part = static_cast<size_t>(std::min<uint64_t>(available, length));
    memset(to, 0, part);
    Advance(part);
    length -= part;
  }
}

void Container::NameAfter(const ObjectId& object) {
  if (!haveFirst_)
    first_ = object;
  haveFirst_ = true;
}

void Container::Finish() {
  if (offset_ > 0) {
    AppendIndex();
    AppendZeros(2 * kTarUnit);
    AppendZeros((blockSize_ - offset_ % blockSize_) % blockSize_);
    Flush();
  }
  sink_.Publish(nullptr, std::move(members_));
  members_.clear();
}

uint8_t* Container::Drop() {
  uint8_t* block = block_;
  block_ = nullptr;
  return block;
}

void Container::AppendIndex() {
  index_.AddEnd(offset_, filesystem_);

  Sha256 hash;
  for (const std::string& piece : index_.Pieces())
    hash.Update(piece.data(), piece.size());
  uint8_t sha256[kSha256Size];
  hash.Final(sha256);

  std::string name = ".hsm/index-";
  AppendHex(name, first_.data(), first_.size());
  name += ".jsonl";
  MemberHeader header;
  header.name = name;
  header.mode = 0400;
  header.size = header.payload = index_.Size();
  header.mtime = header.atime = header.ctime = {createdNs_ / 1'000'000'000, createdNs_ % 1'000'000'000};
  header.sha256 = sha256;
  std::string bytes;
  AppendMemberHeader(bytes, header);
  Append(bytes.data(), bytes.size());
  for (const std::string& piece : index_.Pieces())
    Append(piece.data(), piece.size());
  PadMember();
}

void Container::Flush() {
  sink_.Publish(block_, std::move(members_));
  members_ = {};
  block_ = nullptr;
  used_ = 0;
}

} // namespace hsm
