#include "packer.h"

#include "packer_core.h"
#include "wakeup.h"
#include <csignal>
#include <cstring>

namespace hsm {
namespace {

constexpr std::chrono::milliseconds kExitWait{2000};

Napi::Error CodedError(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

template <typename Array, typename Get>
Array Column(Napi::Env env, const std::vector<MemberRow>& rows, Get get) {
  Array array = Array::New(env, rows.size());
  for (size_t i = 0; i < rows.size(); i++)
    array.Data()[i] = get(rows[i]);
  return array;
}

template <size_t N, typename Get>
Napi::Value ByteColumn(Napi::Env env, const std::vector<MemberRow>& rows, Get get) {
  auto buffer = Napi::Buffer<uint8_t>::New(env, rows.size() * N);
  for (size_t i = 0; i < rows.size(); i++)
    memcpy(buffer.Data() + i * N, get(rows[i]).data(), N);
  return buffer;
}

Napi::Object MembersOf(Napi::Env env, const std::vector<MemberRow>& rows) {
  using Row = const MemberRow&;
  const auto out = Napi::Object::New(env);
  const auto reals = [&](auto get) {
    return Column<Napi::Float64Array>(env, rows, [&](Row row) { return static_cast<double>(get(row)); });
  };
  out.Set("count", static_cast<double>(rows.size()));
  out.Set("row", Column<Napi::Uint32Array>(env, rows, [](Row row) { return row.row; }));
  out.Set("status", Column<Napi::Int32Array>(env, rows, [](Row row) { return row.status; }));
  out.Set("offset", reals([](Row row) { return row.offset; }));
  out.Set("length", reals([](Row row) { return row.length; }));
  out.Set("headerLength", reals([](Row row) { return row.headerLength; }));
  out.Set("size", reals([](Row row) { return row.size; }));
  out.Set("mtimeNs", Column<Napi::BigInt64Array>(env, rows, [](Row row) { return row.mtimeNs; }));
  out.Set("ctimeNs", Column<Napi::BigInt64Array>(env, rows, [](Row row) { return row.ctimeNs; }));
  out.Set("ino", reals([](Row row) { return row.ino; }));
  out.Set("nlink", Column<Napi::Uint32Array>(env, rows, [](Row row) { return row.nlink; }));
  out.Set("handleHash", Column<Napi::Uint32Array>(env, rows, [](Row row) { return row.handleHash; }));
  out.Set("objectIds", ByteColumn<16>(
                           env, rows, [](Row row) -> auto& { return row.object; }));
  out.Set("sha256", ByteColumn<32>(
                        env, rows, [](Row row) -> auto& { return row.sha256; }));
  return out;
}

PackerSettings SettingsOf(Napi::Env env, const Napi::Object& options) {
  PackerSettings settings;
  settings.mountFd = options.Get("mountFd").ToNumber().Int32Value();
  settings.blockSize = static_cast<size_t>(options.Get("blockSize").ToNumber().Int64Value());
  if (options.Get("threads").IsNumber())
    settings.threads = options.Get("threads").ToNumber().Uint32Value();
  const Napi::Value prefix = options.Get("objectPrefix");
  if (const Napi::Value filesystem = options.Get("filesystem"); filesystem.IsString())
    settings.filesystem = filesystem.As<Napi::String>().Utf8Value();
  if (settings.filesystem.size() > 64)
    throw Napi::RangeError::New(env, "filesystem must be at most 64 bytes");
  if (settings.blockSize < 4096 || settings.blockSize % 4096 != 0 || settings.blockSize > 8 << 20)
    throw Napi::RangeError::New(env, "blockSize must be a multiple of 4096, at most 8 MiB");
  if (settings.threads < 1 || settings.threads > 16)
    throw Napi::RangeError::New(env, "threads must be 1..16");
  if (!prefix.IsBuffer() || prefix.As<Napi::Buffer<uint8_t>>().Length() != settings.objectPrefix.size())
    throw Napi::TypeError::New(env, "objectPrefix must be 8 bytes");
  memcpy(settings.objectPrefix.data(), prefix.As<Napi::Buffer<uint8_t>>().Data(),
         settings.objectPrefix.size());
  return settings;
}

std::shared_ptr<const PackInput> InputOf(Napi::Env env, const Napi::Object& from) {
  auto input = std::make_shared<PackInput>();
  const size_t count = from.Get("count").ToNumber().Uint32Value();
  const auto dir = from.Get("dir").As<Napi::Uint32Array>();
  const auto nameEnd = from.Get("nameEnd").As<Napi::Uint32Array>();
  const auto ino = from.Get("ino").As<Napi::Float64Array>();
  const auto names = from.Get("names").As<Napi::Buffer<char>>();
  const auto dirs = from.Get("dirs").As<Napi::Array>();
  if (dir.ElementLength() < count || nameEnd.ElementLength() < count || ino.ElementLength() < count)
    throw Napi::RangeError::New(env, "arrays are shorter than count");
  input->dir.assign(dir.Data(), dir.Data() + count);
  input->nameEnd.assign(nameEnd.Data(), nameEnd.Data() + count);
  input->ino.assign(ino.Data(), ino.Data() + count);
  input->names.assign(names.Data(), names.Length());
  for (uint32_t i = 0; i < dirs.Length(); i++) {
    const auto path = dirs.Get(i).As<Napi::Buffer<char>>();
    input->dirs.emplace_back(path.Data(), path.Length());
  }
  uint32_t start = 0;
  for (size_t i = 0; i < count; i++) {
    if (input->dir[i] >= input->dirs.size() || input->nameEnd[i] < start ||
        input->nameEnd[i] > names.Length())
      throw Napi::RangeError::New(env, "row " + std::to_string(i) + " points outside its arrays");
    start = input->nameEnd[i];
  }
  return input;
}

class Packer : public Napi::ObjectWrap<Packer> {
public:
  explicit Packer(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const Napi::Env env = info.Env();
    const PackerSettings settings = SettingsOf(env, info[0].ToObject());
    wakeup_ = Wakeup::Make(env, "hsm.Packer", [this](Napi::Env at) { Deliver(at); });
    core_ = std::make_shared<PackerCore>(settings, [wakeup = wakeup_] { wakeup->Signal(); });
    buffers_.resize(core_->Memory()->Count());
    napi_add_env_cleanup_hook(env, AtExit, this);
  }

  ~Packer() override {
    napi_remove_env_cleanup_hook(Env(), AtExit, this);
    Stop();
  }

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Packer",
                       {InstanceMethod<&Packer::Begin>("begin"), InstanceMethod<&Packer::Push>("push"),
                        InstanceMethod<&Packer::PushFile>("pushFile"), InstanceMethod<&Packer::End>("end"),
                        InstanceMethod<&Packer::Next>("next"), InstanceMethod<&Packer::Release>("release"),
                        InstanceMethod<&Packer::Abort>("abort"), InstanceMethod<&Packer::Close>("close")});
  }

private:
  using Phase = PackerCore::Phase;

  void Begin(const Napi::CallbackInfo& info) {
    Expect(info.Env(), Phase::idle, "begin");
    core_->Begin();
  }

  void Push(const Napi::CallbackInfo& info) {
    Expect(info.Env(), Phase::filling, "push");
    core_->Push(InputOf(info.Env(), info[0].ToObject()));
  }

  void PushFile(const Napi::CallbackInfo& info) {
    Expect(info.Env(), Phase::filling, "pushFile");
    core_->PushFile(info[0].ToString(), info[1].ToString());
  }

  void End(const Napi::CallbackInfo& info) {
    Expect(info.Env(), Phase::filling, "end");
    core_->End();
  }

  Napi::Value Next(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const auto deferred = Napi::Promise::Deferred::New(env);
    const Phase phase = core_->Now();
    if (next_ || (phase != Phase::filling && phase != Phase::ending)) {
      deferred.Reject(
          CodedError(env, "EINVAL",
                     next_ ? "next() is already waiting" : "the packer has no container under way")
              .Value());
      return deferred.Promise();
    }
    next_ = std::make_unique<Napi::Promise::Deferred>(deferred);
    Hold(env);
    Deliver(env);
    return deferred.Promise();
  }

  Napi::Value Release(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!info[0].IsBuffer() || !core_->Release(info[0].As<Napi::Buffer<uint8_t>>().Data()))
      throw CodedError(env, "EINVAL", "release() of a block that is not out");
    return env.Undefined();
  }

  Napi::Value Abort(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const auto deferred = Napi::Promise::Deferred::New(env);
    core_->Abort();
    aborts_.push_back(deferred);
    Hold(env);
    if (next_)
      TakeNext(env)->Reject(CodedError(env, "ECANCELED", "the container was dropped").Value());
    Deliver(env);
    return deferred.Promise();
  }

  void Close(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Stop();
    if (next_)
      TakeNext(env)->Reject(CodedError(env, "ECANCELED", "the packer was closed").Value());
    ResolveAborts(env);
  }

  // Hands over what the threads have ready to whoever waits for it.
  void Deliver(Napi::Env env) {
    const Napi::HandleScope scope(env);
    const Phase phase = core_->Now();
    if (!aborts_.empty() && phase != Phase::aborting)
      ResolveAborts(env);
    if (!next_)
      return;
    if (const std::string failure = core_->Failure(); !failure.empty()) {
      TakeNext(env)->Reject(CodedError(env, "EIO", "packing failed: " + failure).Value());
      return;
    }
    const std::optional<ReadyBlock> ready = core_->Take();
    if (!ready)
      return;
    const auto out = Napi::Object::New(env);
    out.Set("block", ready->block == nullptr ? env.Null() : BufferOf(env, ready->block));
    out.Set("members", MembersOf(env, ready->members));
    TakeNext(env)->Resolve(out);
  }

  std::unique_ptr<Napi::Promise::Deferred> TakeNext(Napi::Env env) {
    Unhold(env);
    return std::move(next_);
  }

  void ResolveAborts(Napi::Env env) {
    for (const auto& deferred : std::exchange(aborts_, {})) {
      Unhold(env);
      deferred.Resolve(env.Undefined());
    }
  }

  // One buffer per block for the packer's whole life: no garbage on the path of the data.
  Napi::Value BufferOf(Napi::Env env, uint8_t* block) {
    Napi::Reference<Napi::Buffer<uint8_t>>& buffer = buffers_[core_->Memory()->IndexOf(block)];
    if (buffer.IsEmpty()) {
      auto* memory = new std::shared_ptr<BlockMemory>(core_->Memory());
      const auto fresh = Napi::Buffer<uint8_t>::New(
          env, block, core_->Memory()->BlockSize(),
          [](Napi::Env, uint8_t*, std::shared_ptr<BlockMemory>* owner) { delete owner; }, memory);
      buffer = Napi::Persistent(fresh);
    }
    return buffer.Value();
  }

  void Expect(Napi::Env env, Phase phase, const char* method) {
    if (core_->Now() != phase)
      throw CodedError(env, "EINVAL",
                       std::string(method) + "() at the wrong time: see Packer in src/native/index.ts");
  }

  // While somebody waits, neither the event loop nor this object may end.
  void Hold(Napi::Env env) {
    Ref();
    wakeup_->Hold(env);
  }
  void Unhold(Napi::Env env) {
    wakeup_->Unhold(env);
    Unref();
  }

  void Stop() {
    if (core_)
      core_->Close();
    if (wakeup_)
      wakeup_->Close();
  }

  // The process may be about to exit: the threads must not outlive OpenSSL and the heap.
  static void AtExit(void* data) {
    auto* packer = static_cast<Packer*>(data);
    packer->Stop();
    packer->core_->WaitForThreads(kExitWait);
  }

  std::shared_ptr<Wakeup> wakeup_;
  std::shared_ptr<PackerCore> core_;
  std::vector<Napi::Reference<Napi::Buffer<uint8_t>>> buffers_;
  std::unique_ptr<Napi::Promise::Deferred> next_;
  std::vector<Napi::Promise::Deferred> aborts_;
};

} // namespace

void InitPacker(Napi::Env env, Napi::Object exports) {
  // A lease probe that somebody breaks sends SIGIO, which would end the process.
  struct sigaction current;
  if (sigaction(SIGIO, nullptr, &current) == 0 && current.sa_handler == SIG_DFL)
    signal(SIGIO, SIG_IGN);
  exports.Set("Packer", Packer::Define(env));
}

} // namespace hsm
