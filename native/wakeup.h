#pragma once
// Lets a thread of our own run something on the JavaScript thread.
#include <functional>
#include <memory>
#include <mutex>
#include <napi.h>

namespace hsm {

// Signal() may be called from any thread at any time, also after the environment is gone; calls may coalesce.
// Keeps the event loop alive only between Hold() and Unhold().
class Wakeup {
public:
  static std::shared_ptr<Wakeup> Make(Napi::Env env, const char* name,
                                      std::function<void(Napi::Env)> onSignal);

  void Signal();
  // JavaScript thread only:
  void Hold(Napi::Env env);
  void Unhold(Napi::Env env);
  void Close();

private:
  static void Call(napi_env env, napi_value, void* context, void*);
  static void Finalized(napi_env, void* data, void*);

  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr; // null once closed
  std::function<void(Napi::Env)> onSignal_;
  int holds_ = 0;
};

} // namespace hsm
