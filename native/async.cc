#include "async.h"

#include <exception>

namespace hsm {
namespace {

struct Started {
  std::unique_ptr<Task> task;
  std::exception_ptr failure;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
};

void Execute(napi_env, void* data) {
  auto* started = static_cast<Started*>(data);
  try {
    started->task->Run();
  } catch (...) {
    started->failure = std::current_exception();
  }
}

void Settle(Napi::Env env, Started& started) {
  try {
    if (started.failure)
      std::rethrow_exception(started.failure);
    napi_resolve_deferred(env, started.deferred, started.task->Result(env));
  } catch (const Napi::Error& error) {
    napi_reject_deferred(env, started.deferred, error.Value());
  } catch (const std::exception& error) {
    napi_reject_deferred(env, started.deferred, Napi::Error::New(env, error.what()).Value());
  }
}

void Complete(napi_env env, napi_status status, void* data) {
  const std::unique_ptr<Started> started(static_cast<Started*>(data));
  if (status == napi_ok) {
    Napi::HandleScope scope(env);
    try {
      Settle(env, *started);
    } catch (const Napi::Error&) {
      // The environment is ending: nobody is left to be told.
    }
  }
  napi_delete_async_work(env, started->work);
}

} // namespace

Napi::Value StartTask(Napi::Env env, std::unique_ptr<Task> task) {
  auto started = std::make_unique<Started>();
  started->task = std::move(task);
  napi_value promise, name = Napi::String::New(env, "hsm");
  napi_status status = napi_create_promise(env, &started->deferred, &promise);
  if (status == napi_ok)
    status = napi_create_async_work(env, nullptr, name, Execute, Complete, started.get(), &started->work);
  if (status == napi_ok)
    status = napi_queue_async_work(env, started->work);
  if (status != napi_ok)
    throw Napi::Error::New(env, "cannot start native work");
  (void)started.release();
  return Napi::Value(env, promise);
}

} // namespace hsm
