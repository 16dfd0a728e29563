// File descriptors over Unix sockets (unix(7), SCM_RIGHTS).
#pragma once
#include <sys/socket.h>
#include <sys/uio.h>

#include <initializer_list>

namespace hsm {

// sendmsg(2) of `message`, whose name and parts the caller has set, with these fds; without a signal.
ssize_t SendWithFds(int socket, msghdr message, std::initializer_list<int> fds, int flags = 0);

// recvmsg(2) of one byte that carries exactly `count` fds, which are closed on exec. False when something
// else came; then no fd is left open.
bool ReceiveByteWithFds(int socket, char* byte, int* fds, size_t count);

} // namespace hsm
