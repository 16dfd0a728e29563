#include "extractor.h"

#include "args.h"
#include "async.h"
#include "extract.h"
#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

namespace hsm {
namespace {

// The core works on targets by offset; JavaScript counts them in its own order.
struct Shared {
  Shared(std::vector<ExtractTarget> targets, std::vector<uint32_t> order)
      : extract(std::move(targets)), order(std::move(order)) {
    rank.resize(this->order.size());
    for (uint32_t i = 0; i < rank.size(); i++)
      rank[this->order[i]] = i;
  }
  Extract extract;
  std::vector<uint32_t> order; // sorted place -> JavaScript's index
  std::vector<uint32_t> rank;  // and back
  int64_t needs = -1;
  bool busy = false;
};

Napi::Array ResultsOf(Napi::Env env, const Shared& shared, const std::vector<ExtractEnd>& ended) {
  const auto out = Napi::Array::New(env, ended.size());
  for (uint32_t i = 0; i < ended.size(); i++) {
    const auto result = Napi::Object::New(env);
    result.Set("target", static_cast<double>(shared.order[ended[i].target]));
    result.Set("status", ended[i].status);
    out.Set(i, result);
  }
  return out;
}

class FeedTask final : public Task {
public:
  FeedTask(std::shared_ptr<Shared> shared, uint64_t offset, Napi::Buffer<uint8_t> data)
      : shared_(std::move(shared)), offset_(offset), data_(data.Data()), length_(data.Length()),
        reference_(Napi::Persistent(data)) {
    shared_->busy = true;
  }
  void Run() override { shared_->extract.Feed(offset_, data_, length_, ended_); }
  Napi::Value Result(Napi::Env env) override {
    shared_->busy = false;
    shared_->needs = shared_->extract.Needs();
    return ResultsOf(env, *shared_, ended_);
  }

private:
  const std::shared_ptr<Shared> shared_;
  const uint64_t offset_;
  const uint8_t* const data_;
  const size_t length_;
  const Napi::Reference<Napi::Buffer<uint8_t>> reference_;
  std::vector<ExtractEnd> ended_;
};

template <size_t N> std::array<uint8_t, N> FixedBytes(Napi::Value value, const char* what) {
  const Bytes bytes = BytesOf(value, what);
  if (bytes.size() != N)
    ThrowArgument(value.Env(), std::string(what) + " must be " + std::to_string(N) + " bytes");
  std::array<uint8_t, N> out;
  memcpy(out.data(), bytes.data(), N);
  return out;
}

uint64_t NaturalOf(Napi::Value value, const char* what) {
  const int64_t number = IntegerOf(value, what);
  if (number < 0)
    ThrowArgument(value.Env(), std::string(what) + " must not be negative");
  return static_cast<uint64_t>(number);
}

ExtractTarget TargetOf(const Napi::Object& from) {
  ExtractTarget target;
  target.offset = NaturalOf(from.Get("offset"), "offset");
  target.object = FixedBytes<16>(from.Get("objectId"), "objectId");
  target.size = NaturalOf(from.Get("size"), "size");
  target.fd = static_cast<int>(IntegerOf(from.Get("fd"), "fd"));
  if (const Napi::Value sha256 = from.Get("sha256"); !sha256.IsNull())
    target.sha256 = FixedBytes<32>(sha256, "sha256");
  if (const Napi::Value record = from.Get("record"); !record.IsNull())
    target.record = FixedBytes<64>(record, "record");
  return target;
}

std::shared_ptr<Shared> SharedOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray())
    ThrowArgument(info.Env(), "targets must be an array");
  const auto from = info[0].As<Napi::Array>();
  std::vector<ExtractTarget> targets(from.Length());
  for (uint32_t i = 0; i < targets.size(); i++) {
    const Napi::HandleScope scope(info.Env());
    targets[i] = TargetOf(from.Get(i).ToObject());
  }
  std::vector<uint32_t> order(targets.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return targets[a].offset < targets[b].offset; });
  std::vector<ExtractTarget> sorted;
  sorted.reserve(targets.size());
  for (const uint32_t i : order)
    sorted.push_back(targets[i]);
  return std::make_shared<Shared>(std::move(sorted), std::move(order));
}

class Extractor : public Napi::ObjectWrap<Extractor> {
public:
  explicit Extractor(const Napi::CallbackInfo& info) : ObjectWrap(info), shared_(SharedOf(info)) {
    shared_->needs = shared_->extract.Needs();
  }

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Extractor",
                       {InstanceMethod<&Extractor::Feed>("feed"), InstanceMethod<&Extractor::Done>("done"),
                        InstanceMethod<&Extractor::Finish>("finish"),
                        InstanceAccessor<&Extractor::Needs>("needs")});
  }

private:
  Napi::Value Feed(const Napi::CallbackInfo& info) {
    RefuseBusy(info.Env());
    const uint64_t offset = NaturalOf(info[0], "containerOffset");
    BytesArg(info, 1);
    return StartTask(info.Env(),
                     std::make_unique<FeedTask>(shared_, offset, info[1].As<Napi::Buffer<uint8_t>>()));
  }

  Napi::Value Done(const Napi::CallbackInfo& info) {
    const uint32_t target = Uint32Arg(info, 0);
    if (target >= shared_->extract.Count())
      ThrowArgument(info.Env(), "there is no such target");
    return Napi::Number::New(info.Env(), static_cast<double>(shared_->extract.Done(shared_->rank[target])));
  }

  Napi::Value Finish(const Napi::CallbackInfo& info) {
    RefuseBusy(info.Env());
    std::vector<ExtractEnd> ended;
    shared_->extract.Finish(ended);
    shared_->needs = -1;
    return ResultsOf(info.Env(), *shared_, ended);
  }

  Napi::Value Needs(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(shared_->needs));
  }

  void RefuseBusy(Napi::Env env) {
    if (shared_->busy)
      ThrowArgument(env, "feed() is still at work on the last block");
  }

  const std::shared_ptr<Shared> shared_;
};

} // namespace

void InitExtractor(Napi::Env env, Napi::Object exports) {
  exports.Set("Extractor", Extractor::Define(env));
}

} // namespace hsm
