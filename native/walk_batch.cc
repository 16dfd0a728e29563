#include "walk_batch.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <napi.h>

#include "errors.h"
#include "statx.h"

namespace hsm {
namespace {

constexpr size_t kMostErrors = 1024;
constexpr size_t kMostPathBytes = 1 << 20;

// Columns that lie one behind the other in one ArrayBuffer, the widest first.
class Columns {
public:
  Columns(Napi::Env env, Napi::Object batch, size_t bytes)
      : batch_(batch), memory_(Napi::ArrayBuffer::New(env, bytes)) {}

  template <typename Array, typename T> void Add(const char* name, const std::vector<T>& column) {
    const size_t at = Copy(column.data(), column.size() * sizeof(T));
    batch_.Set(name, Array::New(memory_.Env(), column.size(), memory_, at));
  }

  void AddBuffer(const char* name, const std::vector<uint8_t>& bytes) {
    const size_t at = Copy(bytes.data(), bytes.size());
    napi_value buffer;
    if (node_api_create_buffer_from_arraybuffer(memory_.Env(), memory_, at, bytes.size(), &buffer) != napi_ok)
      throw Napi::Error::New(memory_.Env(), "cannot make a Buffer");
    batch_.Set(name, buffer);
  }

private:
  size_t Copy(const void* data, size_t bytes) {
    const size_t at = used_;
    if (bytes > 0)
      std::memcpy(static_cast<uint8_t*>(memory_.Data()) + at, data, bytes);
    used_ += bytes;
    return at;
  }

  Napi::Object batch_;
  Napi::ArrayBuffer memory_;
  size_t used_ = 0;
};

Napi::Value BufferOf(Napi::Env env, const void* data, size_t length) {
  return Napi::Buffer<uint8_t>::Copy(env, static_cast<const uint8_t*>(data), length);
}

} // namespace

// A long chain of parents is let go of one by one: each destructor calling the next could use up the stack.
Directory::~Directory() {
  std::shared_ptr<const Directory> next = std::move(parent);
  while (next && next.use_count() == 1) {
    std::atomic_thread_fence(std::memory_order_acquire);
    next = std::move(const_cast<Directory&>(*next).parent);
  }
}

std::string PathOf(const Directory& directory) {
  size_t length = 0;
  for (const Directory* each = &directory; each; each = each->parent.get())
    length += each->name.empty() ? 0 : each->name.size() + 1;
  if (length == 0)
    return "";
  std::string path(length - 1, '/');
  size_t end = path.size();
  for (const Directory* each = &directory; each; each = each->parent.get()) {
    if (each->name.empty())
      continue;
    end -= each->name.size();
    path.replace(end, each->name.size(), each->name);
    end -= end > 0;
  }
  return path;
}

bool WalkBatch::IsFull(size_t batchRows) const {
  return dir_.size() >= batchRows || pathBytes_ >= kMostPathBytes || errors_.size() >= kMostErrors;
}

bool WalkBatch::IsEmpty() const {
  return dir_.empty() && errors_.empty() && symlinks + special + otherFilesystems + directories == 0;
}

void WalkBatch::Clear() {
  symlinks = special = otherFilesystems = directories = 0;
  pathBytes_ = 0;
  owners_.clear();
  paths_.clear();
  for (auto* column : {&dir_, &nameEnd_, &mode_, &uid_, &gid_, &nlink_, &attributes_})
    column->clear();
  for (auto* column : {&ino_, &size_, &blocks_})
    column->clear();
  for (auto* column : {&atimeNs_, &mtimeNs_, &ctimeNs_})
    column->clear();
  for (auto* column : {&names_, &hasRecord_, &records_})
    column->clear();
  errors_.clear();
}

bool WalkBatch::HasLeft(const Directory& directory) const {
  if (owners_.empty() || owners_.back().get() == &directory)
    return false;
  return std::any_of(owners_.begin(), owners_.end(),
                     [&](const auto& owner) { return owner.get() == &directory; });
}

void WalkBatch::Add(const std::shared_ptr<const Directory>& directory, const std::string& path,
                    std::string_view name, const struct statx& status) {
  if (owners_.empty() || owners_.back() != directory) {
    owners_.push_back(directory);
    paths_.push_back(path);
    pathBytes_ += path.size();
  }
  names_.insert(names_.end(), name.begin(), name.end());
  dir_.push_back(static_cast<uint32_t>(owners_.size() - 1));
  nameEnd_.push_back(static_cast<uint32_t>(names_.size()));
  ino_.push_back(static_cast<double>(status.stx_ino));
  size_.push_back(static_cast<double>(status.stx_size));
  blocks_.push_back(static_cast<double>(status.stx_blocks));
  atimeNs_.push_back(NsOf(status.stx_atime));
  mtimeNs_.push_back(NsOf(status.stx_mtime));
  ctimeNs_.push_back(NsOf(status.stx_ctime));
  mode_.push_back(status.stx_mode);
  uid_.push_back(status.stx_uid);
  gid_.push_back(status.stx_gid);
  nlink_.push_back(status.stx_nlink);
  attributes_.push_back(static_cast<uint32_t>(status.stx_attributes));
  hasRecord_.push_back(0);
}

void WalkBatch::AddRecord(int length, const uint8_t (&record)[kRecordSize]) {
  const bool whole = length == static_cast<int>(kRecordSize);
  hasRecord_.back() = length == 0 ? 0 : whole ? 1 : 2;
  records_.resize(hasRecord_.size() * kRecordSize);
  if (whole)
    std::memcpy(records_.data() + records_.size() - kRecordSize, record, kRecordSize);
}

Napi::Object WalkBatch::ToObject(Napi::Env env) const {
  Napi::Object batch = Napi::Object::New(env);
  const size_t count = dir_.size();
  batch.Set("count", Napi::Number::New(env, static_cast<double>(count)));
  Columns columns(env, batch, count * (6 * 8 + 7 * 4 + 1) + names_.size() + records_.size());
  columns.Add<Napi::Float64Array>("ino", ino_);
  columns.Add<Napi::Float64Array>("size", size_);
  columns.Add<Napi::Float64Array>("blocks", blocks_);
  columns.Add<Napi::BigInt64Array>("atimeNs", atimeNs_);
  columns.Add<Napi::BigInt64Array>("mtimeNs", mtimeNs_);
  columns.Add<Napi::BigInt64Array>("ctimeNs", ctimeNs_);
  columns.Add<Napi::Uint32Array>("dir", dir_);
  columns.Add<Napi::Uint32Array>("nameEnd", nameEnd_);
  columns.Add<Napi::Uint32Array>("mode", mode_);
  columns.Add<Napi::Uint32Array>("uid", uid_);
  columns.Add<Napi::Uint32Array>("gid", gid_);
  columns.Add<Napi::Uint32Array>("nlink", nlink_);
  columns.Add<Napi::Uint32Array>("attributes", attributes_);
  columns.Add<Napi::Uint8Array>("hasRecord", hasRecord_);
  columns.AddBuffer("names", names_);
  columns.AddBuffer("records", records_);
  Napi::Array dirs = Napi::Array::New(env, paths_.size());
  for (uint32_t i = 0; i < paths_.size(); i++)
    dirs.Set(i, BufferOf(env, paths_[i].data(), paths_[i].size()));
  batch.Set("dirs", dirs);
  batch.Set("symlinks", Napi::Number::New(env, symlinks));
  batch.Set("special", Napi::Number::New(env, special));
  batch.Set("otherFilesystems", Napi::Number::New(env, otherFilesystems));
  batch.Set("directories", Napi::Number::New(env, directories));
  Napi::Array errors = Napi::Array::New(env, errors_.size());
  for (uint32_t i = 0; i < errors_.size(); i++) {
    Napi::Object each = Napi::Object::New(env);
    each.Set("path", BufferOf(env, errors_[i].path.data(), errors_[i].path.size()));
    each.Set("errno", Napi::Number::New(env, -errors_[i].error));
    each.Set("code", Napi::String::New(env, ErrnoName(errors_[i].error)));
    errors.Set(i, each);
  }
  batch.Set("errors", errors);
  return batch;
}

} // namespace hsm
