#include "wakeup.h"

namespace hsm {

std::shared_ptr<Wakeup> Wakeup::Make(Napi::Env env, const char* name,
                                     std::function<void(Napi::Env)> onSignal) {
  auto wakeup = std::make_shared<Wakeup>();
  wakeup->onSignal_ = std::move(onSignal);
  // The function's finalizer holds a reference, so that the context outlives every call of it.
  auto* owner = new std::shared_ptr<Wakeup>(wakeup);
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, name), 0, 1, owner,
                                      Finalized, wakeup.get(), Call, &wakeup->function_);
  if (status != napi_ok) {
    delete owner;
    throw Napi::Error::New(env, "napi_create_threadsafe_function failed");
  }
  napi_unref_threadsafe_function(env, wakeup->function_);
  return wakeup;
}

void Wakeup::Signal() {
  const std::lock_guard lock(mutex_);
  if (function_ != nullptr)
    napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void Wakeup::Hold(Napi::Env env) {
  if (holds_++ == 0 && function_ != nullptr)
    napi_ref_threadsafe_function(env, function_);
}

void Wakeup::Unhold(Napi::Env env) {
  if (--holds_ == 0 && function_ != nullptr)
    napi_unref_threadsafe_function(env, function_);
}

void Wakeup::Close() {
  const std::lock_guard lock(mutex_);
  if (function_ == nullptr)
    return;
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
  function_ = nullptr;
}

void Wakeup::Call(napi_env env, napi_value, void* context, void*) {
  // The environment is being torn down.
  if (env == nullptr)
    return;
  auto* wakeup = static_cast<Wakeup*>(context);
  if (wakeup->function_ == nullptr)
    return;
  wakeup->onSignal_(Napi::Env(env));
}

void Wakeup::Finalized(napi_env, void* data, void*) {
  auto* owner = static_cast<std::shared_ptr<Wakeup>*>(data);
  {
    const std::lock_guard lock((*owner)->mutex_);
    (*owner)->function_ = nullptr;
  }
  delete owner;
}

} // namespace hsm
