// Tape drives through the st driver: mtio ioctls, blocks, and SCSI commands on the same open file.
// Source: st(4), Documentation/scsi/st.rst, drivers/scsi/st.c, <linux/mtio.h>, <scsi/sg.h>.
#pragma once
#include <napi.h>

namespace hsm {

void InitTape(Napi::Env env, Napi::Object exports);

} // namespace hsm
