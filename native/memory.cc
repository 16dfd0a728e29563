#include "memory.h"

#include <malloc.h>

#include "async.h"

namespace hsm {
namespace {

class TrimMemory : public Task {
public:
  void Run() override { malloc_trim(0); }
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }
};

// trimMemory(): Promise<void>
Napi::Value TrimMemoryCall(const Napi::CallbackInfo& info) {
  return StartTask(info.Env(), std::make_unique<TrimMemory>());
}

} // namespace

void InitMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("trimMemory", Napi::Function::New(env, TrimMemoryCall, "trimMemory"));
}

} // namespace hsm
