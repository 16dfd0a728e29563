#pragma once
#include <string_view>

namespace hsm {

// What Unicode calls well-formed, as Node's buffer.isUtf8 does.
bool IsUtf8(std::string_view text);

} // namespace hsm
