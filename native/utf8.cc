#include "utf8.h"

#include <cstddef>
#include <cstdint>

namespace hsm {

bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c < 0x80) {
      i++;
      continue;
    }
    const int more = c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 0;
    if (more == 0 || text.size() - i <= static_cast<size_t>(more))
      return false;
    uint32_t point = c & (0x3f >> more);
    for (int k = 1; k <= more; k++) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xc0) != 0x80)
        return false;
      point = point << 6 | (next & 0x3f);
    }
    const bool overlong = (more == 2 && point < 0x800) || (more == 3 && point < 0x10000);
    if (overlong || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
      return false;
    i += more + 1;
  }
  return true;
}

} // namespace hsm
