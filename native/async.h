// Work off the JavaScript thread that ends in a promise.
#pragma once
#include <napi.h>

#include <memory>

namespace hsm {

// Run() happens on a libuv worker thread and must not touch JavaScript; Result() follows on the JavaScript
// thread and gives the promise's value or throws (Napi::Error) its reason. An environment that
// ends waits for Run(); what Result() then throws is dropped.
class Task {
public:
  virtual ~Task() = default;
  virtual void Run() = 0;
  virtual Napi::Value Result(Napi::Env env) = 0;
};

// Takes the task over and returns its promise.
Napi::Value StartTask(Napi::Env env, std::unique_ptr<Task> task);

} // namespace hsm
