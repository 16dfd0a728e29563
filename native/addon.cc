#include "crc32c.h"
#include "digest.h"
#include "directio.h"
#include "errors.h"
#include "evict.h"
#include "extractor.h"
#include "fallocate.h"
#include "fanotify.h"
#include "fdchannel.h"
#include "handle.h"
#include "lease.h"
#include "link.h"
#include "memory.h"
#include "mount.h"
#include "packer.h"
#include "pax.h"
#include "restore.h"
#include "statx.h"
#include "tape.h"
#include "walk.h"
#include "xattr.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  // What only the tests call.
  exports.Set("testing", Napi::Object::New(env));
  hsm::InitErrors(env, exports);
  hsm::InitXattr(env, exports);
  hsm::InitStatx(env, exports);
  hsm::InitHandle(env, exports);
  hsm::InitLease(env, exports);
  hsm::InitLink(env, exports);
  hsm::InitFallocate(env, exports);
  hsm::InitFdchannel(env, exports);
  hsm::InitMount(env, exports);
  hsm::InitFanotify(env, exports);
  hsm::InitCrc32c(env, exports);
  hsm::InitWalk(env, exports);
  hsm::InitEvict(env, exports);
  hsm::InitDigest(env, exports);
  hsm::InitDirectio(env, exports);
  hsm::InitMemory(env, exports);
  hsm::InitPax(env, exports);
  hsm::InitPacker(env, exports);
  hsm::InitExtractor(env, exports);
  hsm::InitRestore(env, exports);
  hsm::InitTape(env, exports);
  return exports;
}

} // namespace

NODE_API_MODULE(hsm, Init)
