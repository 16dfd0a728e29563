// An SQLite extension: the table-valued function member_rows(), which reads flat columns as rows, so that one
// INSERT ... SELECT takes in as many as there are. src/catalog/member-rows.ts is its other side.
#include "../utf8.h"
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <sqlite3ext.h>
#include <string>
#include <vector>

// sqlite3ext.h calls SQLite through this pointer, which is the same for every connection of the process.
SQLITE_EXTENSION_INIT1

namespace hsm {
namespace {

enum class Kind { blob16, blob32, real, i64, i32, name };

struct Column {
  const char* name;
  Kind kind;
};

constexpr Column kColumns[] = {
    {"object", Kind::real}, {"id", Kind::blob16},    {"sha256", Kind::blob32},  {"ino", Kind::real},
    {"size", Kind::real},   {"mtime_ns", Kind::i64}, {"ctime_ns", Kind::i64},   {"handle_hash", Kind::i32},
    {"offset", Kind::real}, {"length", Kind::real},  {"directory", Kind::real}, {"name", Kind::name},
};
constexpr int kCount = sizeof kColumns / sizeof *kColumns;
// Arguments, which are hidden columns: the rows wanted in their order (u32), each column's values, and where
// each name ends (u32). A column may be NULL.
constexpr int kOrder = kCount;
constexpr int kFirst = kOrder + 1;
constexpr int kNameEnds = kFirst + kCount;
constexpr int kArguments = kNameEnds + 1 - kOrder;
static_assert(kArguments < 31);

size_t WidthOf(Kind kind) {
  switch (kind) {
  case Kind::blob16:
    return 16;
  case Kind::blob32:
    return 32;
  case Kind::i32:
    return 4;
  case Kind::name:
    return 0;
  default:
    return 8;
  }
}

struct Cursor : sqlite3_vtab_cursor {
  std::vector<uint8_t> order, ends;
  std::vector<uint8_t> values[kCount];
  size_t rows = 0; // in the order
  size_t at = 0;

  template <typename T> static T Load(const std::vector<uint8_t>& from, size_t i) {
    T value;
    memcpy(&value, from.data() + i * sizeof value, sizeof value);
    return value;
  }
  size_t Row() const { return Load<uint32_t>(order, at); }
};

// Null, or what is wrong.
const char* Check(const Cursor& cursor) {
  size_t needed = 0;
  for (size_t i = 0; i < cursor.rows; i++)
    needed = std::max<size_t>(needed, Cursor::Load<uint32_t>(cursor.order, i) + size_t{1});
  for (int c = 0; c < kCount; c++) {
    const size_t width = WidthOf(kColumns[c].kind);
    if (width != 0 && !cursor.values[c].empty() && cursor.values[c].size() < needed * width)
      return "a column is shorter than the rows";
  }
  const std::vector<uint8_t>& names = cursor.values[kCount - 1];
  if (cursor.ends.empty())
    return names.empty() ? nullptr : "names without their ends";
  if (cursor.ends.size() < needed * sizeof(uint32_t))
    return "a name has no end";
  uint32_t start = 0;
  for (size_t i = 0; i < needed; i++) {
    const auto end = Cursor::Load<uint32_t>(cursor.ends, i);
    if (end < start || end > names.size())
      return "a name ends outside of the names";
    start = end;
  }
  return nullptr;
}

Cursor& CursorOf(sqlite3_vtab_cursor* base) {
  return *static_cast<Cursor*>(base);
}

int Connect(sqlite3* db, void*, int, const char* const*, sqlite3_vtab** out, char**) {
  std::string sql = "CREATE TABLE x(";
  for (const Column& column : kColumns)
    sql += std::string(column.name) + ", ";
  sql += "row_order HIDDEN, ";
  for (const Column& column : kColumns)
    sql += std::string(column.name) + "_values HIDDEN, ";
  sql += "name_ends HIDDEN)";
  if (const int error = sqlite3_declare_vtab(db, sql.c_str()); error != SQLITE_OK)
    return error;
  sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  *out = new (std::nothrow) sqlite3_vtab{};
  return *out == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int Disconnect(sqlite3_vtab* table) {
  delete table;
  return SQLITE_OK;
}

// Every argument that is given must be known before the first row is asked for; the plan's number says which.
int BestIndex(sqlite3_vtab*, sqlite3_index_info* plan) {
  int given[kArguments];
  std::fill_n(given, kArguments, -1);
  for (int i = 0; i < plan->nConstraint; i++) {
    const auto& constraint = plan->aConstraint[i];
    if (constraint.iColumn < kOrder || constraint.op != SQLITE_INDEX_CONSTRAINT_EQ)
      continue;
    if (!constraint.usable)
      return SQLITE_CONSTRAINT;
    given[constraint.iColumn - kOrder] = i;
  }
  if (given[0] < 0)
    return SQLITE_CONSTRAINT;
  int next = 1;
  for (int a = 0; a < kArguments; a++) {
    if (given[a] < 0)
      continue;
    plan->aConstraintUsage[given[a]].argvIndex = next++;
    plan->aConstraintUsage[given[a]].omit = 1;
    plan->idxNum |= 1 << a;
  }
  plan->estimatedCost = 1000;
  plan->estimatedRows = 1000;
  return SQLITE_OK;
}

int Open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  *out = new (std::nothrow) Cursor();
  return *out == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int Close(sqlite3_vtab_cursor* cursor) {
  delete &CursorOf(cursor);
  return SQLITE_OK;
}

// Copies: SQLite promises the arguments for this call alone.
void Take(Cursor& cursor, int given, sqlite3_value** arguments) {
  for (int a = 0, next = 0; a < kArguments; a++) {
    std::vector<uint8_t>& to = a == 0                ? cursor.order
                               : a == kArguments - 1 ? cursor.ends
                                                     : cursor.values[a - 1];
    to.clear();
    if ((given >> a & 1) == 0)
      continue;
    sqlite3_value* const from = arguments[next++];
    const auto* bytes = static_cast<const uint8_t*>(sqlite3_value_blob(from));
    if (bytes != nullptr)
      to.assign(bytes, bytes + sqlite3_value_bytes(from));
  }
  cursor.rows = cursor.order.size() / sizeof(uint32_t);
  cursor.at = 0;
}

int Filter(sqlite3_vtab_cursor* base, int given, const char*, int, sqlite3_value** arguments) {
  Cursor& cursor = CursorOf(base);
  try {
    Take(cursor, given, arguments);
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
  const char* const wrong = Check(cursor);
  if (wrong == nullptr)
    return SQLITE_OK;
  base->pVtab->zErrMsg = sqlite3_mprintf("member_rows: %s", wrong);
  return SQLITE_ERROR;
}

int Next(sqlite3_vtab_cursor* base) {
  CursorOf(base).at++;
  return SQLITE_OK;
}

int AtEnd(sqlite3_vtab_cursor* base) {
  return CursorOf(base).at >= CursorOf(base).rows;
}

// A name is TEXT where it is UTF-8, else BLOB (src/catalog/names.ts).
void GiveName(sqlite3_context* to, const Cursor& cursor, size_t row) {
  const uint32_t start = row == 0 ? 0 : Cursor::Load<uint32_t>(cursor.ends, row - 1);
  const uint32_t end = Cursor::Load<uint32_t>(cursor.ends, row);
  const auto* name = reinterpret_cast<const char*>(cursor.values[kCount - 1].data()) + start;
  const auto length = static_cast<int>(end - start);
  if (IsUtf8({name, end - start}))
    sqlite3_result_text(to, name, length, SQLITE_STATIC);
  else
    sqlite3_result_blob(to, name, length, SQLITE_STATIC);
}

int Value(sqlite3_vtab_cursor* base, sqlite3_context* to, int column) {
  const Cursor& cursor = CursorOf(base);
  if (column >= kCount || cursor.values[column].empty()) {
    sqlite3_result_null(to);
    return SQLITE_OK;
  }
  const std::vector<uint8_t>& values = cursor.values[column];
  const size_t row = cursor.Row();
  switch (const Kind kind = kColumns[column].kind) {
  case Kind::blob16:
  case Kind::blob32: {
    const size_t width = WidthOf(kind);
    sqlite3_result_blob(to, values.data() + row * width, static_cast<int>(width), SQLITE_STATIC);
    break;
  }
  case Kind::real:
    sqlite3_result_int64(to, static_cast<sqlite3_int64>(Cursor::Load<double>(values, row)));
    break;
  case Kind::i64:
    sqlite3_result_int64(to, Cursor::Load<int64_t>(values, row));
    break;
  case Kind::i32:
    sqlite3_result_int64(to, Cursor::Load<int32_t>(values, row));
    break;
  case Kind::name:
    GiveName(to, cursor, row);
    break;
  }
  return SQLITE_OK;
}

int RowId(sqlite3_vtab_cursor* base, sqlite3_int64* out) {
  *out = static_cast<sqlite3_int64>(CursorOf(base).at);
  return SQLITE_OK;
}

constexpr sqlite3_module MakeModule() {
  sqlite3_module module{};
  module.xConnect = Connect;
  module.xBestIndex = BestIndex;
  module.xDisconnect = Disconnect;
  module.xOpen = Open;
  module.xClose = Close;
  module.xFilter = Filter;
  module.xNext = Next;
  module.xEof = AtEnd;
  module.xColumn = Value;
  module.xRowid = RowId;
  return module;
}
constexpr sqlite3_module kModule = MakeModule();

} // namespace
} // namespace hsm

extern "C" __attribute__((visibility("default"))) int
sqlite3_hsmmemberrows_init(sqlite3* db, char**, const sqlite3_api_routines* api) {
  SQLITE_EXTENSION_INIT2(api);
  return sqlite3_create_module_v2(db, "member_rows", &hsm::kModule, nullptr, nullptr);
}
