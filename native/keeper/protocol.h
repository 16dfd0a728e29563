// Messages between keeper and worker: SOCK_SEQPACKET, little-endian, one message a packet.
// src/recall/keeper-client.ts is the other end.
#pragma once
#include <cstdint>

namespace hsm {

enum class MessageType : uint8_t {
  // keeper -> worker
  kEvent = 1,      // EventMessage, the executable's path, the file's path; carries an O_RDWR fd of the file
  kGone = 2,       // IdMessage: the waiter died or its event was answered otherwise
  kOverflow = 3,   // OverflowMessage, once to each worker and then when there are more
  kFilesystem = 4, // FilesystemMessage; carries the fd of its private mount if that is new
  // worker -> keeper
  kAnswer = 16,  // AnswerMessage, then `count` ids (u64)
  kReady = 17,   // the worker serves events
  kStopped = 18, // StoppedMessage: the worker ends in good order, or cannot start
  kLetGo = 19,   // LetGoMessage: the worker has closed its fd of a filesystem
};

struct EventMessage {
  uint8_t type;
  uint8_t preAccess;
  uint16_t filesystem; // index in the order of --filesystem; 0xffff: none of them
  int32_t pid;
  uint32_t uid;
  uint32_t exeLength;
  uint64_t id;
};
static_assert(sizeof(EventMessage) == 24);

struct FilesystemMessage {
  uint8_t type;
  uint8_t view;        // group.h
  uint16_t filesystem; // as in EventMessage
  uint8_t unguarded;   // 1: it was mounted before it was guarded
  uint8_t pad[3];
  uint64_t superblock; // mounts.h; 0: it was not seen yet
};
static_assert(sizeof(FilesystemMessage) == 16);

struct IdMessage {
  uint8_t type;
  uint8_t pad[7];
  uint64_t id;
};
static_assert(sizeof(IdMessage) == 16);

// Events that the kernel lost: it let their readers through.
struct OverflowMessage {
  uint8_t type;
  uint8_t pad[3];
  uint32_t fresh; // no worker was told of so many of them before
  uint64_t count;
  int64_t lastMs; // since the epoch
};
static_assert(sizeof(OverflowMessage) == 24);

struct AnswerMessage {
  uint8_t type;
  uint8_t pad[3];
  uint32_t error; // 0: allow, else the errno of the denial
  uint32_t count;
  uint32_t pad2;
};
static_assert(sizeof(AnswerMessage) == 16);

struct LetGoMessage {
  uint8_t type;
  uint8_t pad;
  uint16_t filesystem;
};
static_assert(sizeof(LetGoMessage) == 4);

struct StoppedMessage {
  uint8_t type;
  uint8_t stubsLeft; // 1: stubs exist (or may exist), so somebody must go on denying
};

} // namespace hsm
