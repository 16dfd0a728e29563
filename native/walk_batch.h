// A batch of regular files in flat memory: WalkBatch of src/native/index.ts, filled by one walker thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <vector>

#include "record.h"

namespace Napi {
class Env;
class Object;
} // namespace Napi

namespace hsm {

// A directory of the walk; its path is relative to the walk's root. Children keep their parents alive.
struct Directory {
  std::shared_ptr<const Directory> parent;
  std::string name;

  ~Directory();
};

// One string, however deep; empty for the root.
std::string PathOf(const Directory& directory);

struct WalkError {
  std::string path;
  int error;
};

class WalkBatch {
public:
  // True when the batch should go to the reader before more is added to it.
  bool IsFull(size_t batchRows) const;
  bool IsEmpty() const;
  // For reuse; keeps the memory.
  void Clear();

  // Whether rows of `directory` are in it, followed by rows of another: they would not be consecutive any
  // more.
  bool HasLeft(const Directory& directory) const;

  // The record is that of an inode that carries `recordLength` bytes (0: none); `records` says whether
  // records are kept at all.
  void Add(const std::shared_ptr<const Directory>& directory, const std::string& path, std::string_view name,
           const struct statx& status);
  void AddRecord(int length, const uint8_t (&record)[kRecordSize]);
  void AddError(std::string path, int error) { errors_.push_back({std::move(path), error}); }

  // All columns share one ArrayBuffer, so that a reader can free them at once.
  Napi::Object ToObject(Napi::Env env) const;

  uint32_t symlinks = 0, special = 0, otherFilesystems = 0, directories = 0;

private:
  size_t pathBytes_ = 0;
  std::vector<std::shared_ptr<const Directory>> owners_;
  std::vector<std::string> paths_;
  std::vector<uint32_t> dir_, nameEnd_, mode_, uid_, gid_, nlink_, attributes_;
  std::vector<double> ino_, size_, blocks_;
  std::vector<int64_t> atimeNs_, mtimeNs_, ctimeNs_;
  std::vector<uint8_t> names_, hasRecord_, records_;
  std::vector<WalkError> errors_;
};

} // namespace hsm
