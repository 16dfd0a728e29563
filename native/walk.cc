#include "walk.h"

#include <fcntl.h>
#include <system_error>
#include <utility>

#include "args.h"
#include "errors.h"
#include "traversal.h"

namespace hsm {
namespace {

// A traversal and the promise of its next batch, if one is waited for. Used on the JavaScript thread only.
class Walk : public std::enable_shared_from_this<Walk> {
public:
  static std::shared_ptr<Walk> Start(Napi::Env env, Fd root, WalkPlan plan);
  ~Walk() { Close(); }

  Napi::Value Next(Napi::Env env);
  void Close();

private:
  static void OnNews(napi_env env, napi_value, void* context, void*);
  static void OnEnvironmentEnd(void* walk);
  void Settle();

  explicit Walk(napi_env env) : env_(env) {}

  napi_env env_;
  napi_threadsafe_function news_ = nullptr;
  std::unique_ptr<Traversal> traversal_;
  napi_deferred waiting_ = nullptr;
  // Keeps the walk alive while somebody waits for it.
  std::shared_ptr<Walk> self_;
};

std::shared_ptr<Walk> Walk::Start(Napi::Env env, Fd root, WalkPlan plan) {
  std::shared_ptr<Walk> walk(new Walk(env));
  auto context = std::make_unique<std::weak_ptr<Walk>>(walk);
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, Napi::String::New(env, "hsm walk"), 0, 1, context.get(),
      [](napi_env, void* data, void*) { delete static_cast<std::weak_ptr<Walk>*>(data); }, context.get(),
      OnNews, &walk->news_);
  if (status != napi_ok)
    throw Napi::Error::New(env, "cannot start a walk");
  (void)context.release();
  // Runs before the function's own end of life: the threads must be gone by then.
  napi_add_env_cleanup_hook(env, OnEnvironmentEnd, walk.get());
  napi_unref_threadsafe_function(env, walk->news_);
  walk->traversal_ = std::make_unique<Traversal>(std::move(root), std::move(plan), [news = walk->news_] {
    napi_call_threadsafe_function(news, nullptr, napi_tsfn_nonblocking);
  });
  try {
    walk->traversal_->Start();
  } catch (const std::system_error& error) {
    ThrowErrno(env, error.code().value(), "pthread_create");
  }
  return walk;
}

Napi::Value Walk::Next(Napi::Env env) {
  if (waiting_)
    throw Napi::Error::New(env, "next() was called before the last batch had arrived");
  napi_value promise;
  napi_create_promise(env, &waiting_, &promise);
  self_ = shared_from_this();
  if (traversal_)
    napi_ref_threadsafe_function(env, news_);
  Settle();
  return Napi::Value(env, promise);
}

// Resolves the promise if a batch, or the end, has come.
void Walk::Settle() {
  const Napi::Env env(env_);
  std::unique_ptr<WalkBatch> batch;
  const auto taken = traversal_ ? traversal_->Take(&batch) : Traversal::Taken::kEnd;
  if (!waiting_ || taken == Traversal::Taken::kNothingYet)
    return;
  const std::shared_ptr<Walk> alive = std::exchange(self_, nullptr);
  const napi_deferred promise = std::exchange(waiting_, nullptr);
  if (taken == Traversal::Taken::kEnd) {
    Close();
    napi_resolve_deferred(env, promise, env.Null());
    return;
  }
  napi_unref_threadsafe_function(env, news_);
  try {
    napi_resolve_deferred(env, promise, batch->ToObject(env));
  } catch (const Napi::Error& error) {
    napi_reject_deferred(env, promise, error.Value());
  }
  traversal_->Recycle(std::move(batch));
}

void Walk::Close() {
  if (!traversal_)
    return;
  traversal_.reset();
  napi_remove_env_cleanup_hook(env_, OnEnvironmentEnd, this);
  napi_release_threadsafe_function(news_, napi_tsfn_abort);
  if (waiting_)
    Settle();
}

void Walk::OnNews(napi_env env, napi_value, void* context, void*) {
  if (!env)
    return;
  const std::shared_ptr<Walk> walk = static_cast<std::weak_ptr<Walk>*>(context)->lock();
  if (!walk || !walk->waiting_)
    return;
  Napi::HandleScope scope(env);
  walk->Settle();
}

void Walk::OnEnvironmentEnd(void* data) {
  auto* walk = static_cast<Walk*>(data);
  walk->waiting_ = nullptr;
  const std::shared_ptr<Walk> alive = std::exchange(walk->self_, nullptr);
  walk->Close();
}

WalkRecords RecordsOf(Napi::Value value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (name == "none")
    return WalkRecords::kNone;
  if (name == "hollow")
    return WalkRecords::kHollow;
  if (name == "all")
    return WalkRecords::kAll;
  ThrowArgument(value.Env(), "records must be 'none', 'hollow' or 'all'");
}

size_t CountOf(Napi::Value value, const char* what, int64_t most) {
  const int64_t count = IntegerOf(value, what);
  if (count < 1 || count > most)
    ThrowArgument(value.Env(), std::string(what) + " must be from 1 to " + std::to_string(most));
  return static_cast<size_t>(count);
}

WalkPlan PlanOf(Napi::Value paths, Napi::Value options) {
  if (!paths.IsArray() || !options.IsObject())
    ThrowArgument(paths.Env(), "walk takes a descriptor, an array of paths and options");
  const auto list = paths.As<Napi::Array>();
  const auto object = options.As<Napi::Object>();
  WalkPlan plan;
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::HandleScope scope(paths.Env());
    plan.paths.push_back(PathOf(list.Get(i), "path"));
  }
  plan.threads = static_cast<unsigned>(CountOf(object.Get("threads"), "threads", 64));
  plan.records = RecordsOf(object.Get("records"));
  if (const Napi::Value rows = object.Get("batchRows"); !rows.IsUndefined())
    plan.batchRows = CountOf(rows, "batchRows", 1 << 20);
  if (const Napi::Value recursive = object.Get("recursive"); !recursive.IsUndefined())
    plan.recursive = recursive.ToBoolean();
  return plan;
}

// release(batch): leaves its arrays empty and their memory free
void Release(const Napi::CallbackInfo& info) {
  const Napi::Value column =
      info[0].IsObject() ? info[0].As<Napi::Object>().Get("ino") : info.Env().Undefined();
  if (!column.IsTypedArray())
    ThrowArgument(info.Env(), "argument 1 must be a batch");
  column.As<Napi::TypedArray>().ArrayBuffer().Detach();
}

// walk(rootFd, paths, options): {next(), release(batch), close()}
Napi::Value WalkCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  WalkPlan plan = PlanOf(info[1], info[2]);
  // A duplicate, so that the caller may close its own while the walk goes on.
  Fd root(CheckErrno(env, fcntl(FdArg(info, 0), F_DUPFD_CLOEXEC, 0), "fcntl"));
  const std::shared_ptr<Walk> walk = Walk::Start(env, std::move(root), std::move(plan));
  Napi::Object result = Napi::Object::New(env);
  result.Set("next",
             Napi::Function::New(
                 env, [walk](const Napi::CallbackInfo& call) { return walk->Next(call.Env()); }, "next"));
  result.Set("release", Napi::Function::New(env, Release, "release"));
  result.Set("close", Napi::Function::New(
                          env, [walk](const Napi::CallbackInfo&) { walk->Close(); }, "close"));
  return result;
}

} // namespace

void InitWalk(Napi::Env env, Napi::Object exports) {
  exports.Set("walk", Napi::Function::New(env, WalkCall, "walk"));
}

} // namespace hsm
