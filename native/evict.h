// Eviction: turns archived files into stubs, a batch of them on one worker thread.
//
// Why this is race-free without a lock that the keeper shares. The whole filesystem carries a permission
// mark, so every open of a file asks the keeper, except while an evictable ignore mark on the inode says that
// it is known to be resident.
// 1. The keeper adds an ignore mark only while it holds the event's descriptor of that inode open. A write
// lease is refused while
//    anybody else has the inode open or mapped, the keeper included. So when the lease has been granted,
//    every ignore mark that was ever going to be set is set, and no other can follow until the lease is
//    dropped: a new event's descriptor would have to be opened, and that waits for the lease.
// 2. An opener counts as having the file open before it asks (fs/open.c, do_dentry_open: counts, then the
// permission event, then
//    break_lease). An opener that was let through is therefore seen by F_SETLEASE, and a later one asks the
//    keeper or waits in break_lease; either way it gets no further before the lease is dropped.
// 3. The one hole left is an opener under the lease that did not have to ask, because of an ignore mark. The
// mark is removed before
//    the lease is taken; one that is found again under the lease was set in between, and an opener may
//    already have passed by it: then the file is left alone.
// 4. Under the lease, size, mtime and ctime are compared with those of the copy on tape. Nobody can write any
// more, so what is
//    punched is what was copied.
// 5. The kernel breaks a lease by force lease-break-time after the first opener began to wait. The punch
// starts only when less than
//    half of that has passed since the lease was taken.
// One access is not an open: truncate(2) by path asks the keeper and only then counts as a writer (fs/open.c,
// vfs_truncate). If it sleeps between the two while the whole of the above happens, it goes on after the
// lease and cuts the stub. A break that is already pending makes the eviction stop before the punch; what is
// left of the window ends in a hollow file whose size is not that of its record, which nobody is let into
// (docs/design.md "Foreign record"): an error, never zeros. The record is set before the punch, in the
// filesystem's journal too, so a crash leaves a file with data or a stub, never a hole without a record. All
// of it happens on the private mount, whose accesses raise no events.
#pragma once
#include <napi.h>

namespace hsm {

void InitEvict(Napi::Env env, Napi::Object exports);

} // namespace hsm
