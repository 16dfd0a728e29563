#include "tape.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
// Not <sys/mtio.h>: glibc's lacks MTWEOFI and MT_ST_SILI.
#include <linux/mtio.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vector>

#include "args.h"
#include "async.h"
#include "errors.h"
#include "fd.h"

namespace hsm {
namespace {

constexpr size_t kSenseLength = 96;
constexpr size_t kLargestReply = 64 * 1024;

// What is done on a tape may take hours, and the caller may close its descriptor meanwhile.
Fd Duplicate(const Napi::CallbackInfo& info) {
  return Fd(CheckErrno(info.Env(), fcntl(FdArg(info, 0), F_DUPFD_CLOEXEC, 0), "fcntl"));
}

class Operation : public Task {
public:
  Operation(Fd fd, short operation, int count) : fd_(std::move(fd)), request_{operation, count} {}

  void Run() override {
    error_ = ioctl(fd_.Get(), MTIOCTOP, &request_) == 0 ? 0 : errno;
    // The drive is busy until the last descriptor of it is gone.
    fd_ = Fd();
  }

  Napi::Value Result(Napi::Env env) override {
    if (error_)
      ThrowErrno(env, error_, "ioctl");
    return env.Undefined();
  }

private:
  Fd fd_;
  mtop request_;
  int error_ = 0;
};

// tapeOperation(fd, operation, count): Promise<void>
Napi::Value TapeOperation(const Napi::CallbackInfo& info) {
  const uint32_t operation = Uint32Arg(info, 1);
  const int64_t count = IntegerArg(info, 2);
  if (operation > INT16_MAX || count < INT32_MIN || count > INT32_MAX)
    ThrowArgument(info.Env(), "a tape operation is a 16-bit number with a 32-bit count");
  return StartTask(info.Env(), std::make_unique<Operation>(Duplicate(info), static_cast<short>(operation),
                                                           static_cast<int>(count)));
}

class Status : public Task {
public:
  explicit Status(Fd fd) : fd_(std::move(fd)) {}

  void Run() override {
    error_ = ioctl(fd_.Get(), MTIOCGET, &status_) == 0 ? 0 : errno;
    fd_ = Fd();
  }

  Napi::Value Result(Napi::Env env) override {
    if (error_)
      ThrowErrno(env, error_, "ioctl");
    Napi::Object result = Napi::Object::New(env);
    result.Set("file", Napi::Number::New(env, status_.mt_fileno));
    result.Set("block", Napi::Number::New(env, status_.mt_blkno));
    result.Set("partition", Napi::Number::New(env, static_cast<double>(status_.mt_resid)));
    result.Set("density",
               Napi::Number::New(env, (status_.mt_dsreg & MT_ST_DENSITY_MASK) >> MT_ST_DENSITY_SHIFT));
    const auto flag = [&](const char* name, bool value) { result.Set(name, Napi::Boolean::New(env, value)); };
    flag("beginning", GMT_BOT(status_.mt_gstat) != 0);
    flag("filemark", GMT_EOF(status_.mt_gstat) != 0);
    flag("earlyWarning", GMT_EOT(status_.mt_gstat) != 0);
    flag("endOfData", GMT_EOD(status_.mt_gstat) != 0);
    flag("writeProtected", GMT_WR_PROT(status_.mt_gstat) != 0);
    flag("online", GMT_ONLINE(status_.mt_gstat) != 0);
    flag("doorOpen", GMT_DR_OPEN(status_.mt_gstat) != 0);
    flag("cleaning", (status_.mt_gstat & 0x00008000) != 0); // GMT_CLN
    return result;
  }

private:
  Fd fd_;
  mtget status_{};
  int error_ = 0;
};

// tapeStatus(fd): Promise<TapeStatus>
Napi::Value TapeStatus(const Napi::CallbackInfo& info) {
  return StartTask(info.Env(), std::make_unique<Status>(Duplicate(info)));
}

class Position : public Task {
public:
  explicit Position(Fd fd) : fd_(std::move(fd)) {}

  void Run() override {
    error_ = ioctl(fd_.Get(), MTIOCPOS, &position_) == 0 ? 0 : errno;
    fd_ = Fd();
  }

  Napi::Value Result(Napi::Env env) override {
    if (error_)
      ThrowErrno(env, error_, "ioctl");
    return Napi::Number::New(env, static_cast<double>(position_.mt_blkno));
  }

private:
  Fd fd_;
  mtpos position_{};
  int error_ = 0;
};

// tapePosition(fd): Promise<number>
Napi::Value TapePosition(const Napi::CallbackInfo& info) {
  return StartTask(info.Env(), std::make_unique<Position>(Duplicate(info)));
}

// One read(2) or write(2): one block. The Buffer is held until the task is over.
class Transfer : public Task {
public:
  Transfer(Napi::Env env, Fd fd, Napi::Value buffer, bool writes) : fd_(std::move(fd)), writes_(writes) {
    const auto bytes = buffer.As<Napi::Buffer<uint8_t>>();
    data_ = bytes.Data();
    length_ = bytes.Length();
    held_ = Napi::Persistent(buffer.As<Napi::Object>());
  }

  void Run() override {
    result_ = writes_ ? write(fd_.Get(), data_, length_) : read(fd_.Get(), data_, length_);
    error_ = result_ < 0 ? errno : 0;
    fd_ = Fd();
  }

  Napi::Value Result(Napi::Env env) override {
    if (error_)
      ThrowErrno(env, error_, writes_ ? "write" : "read");
    return Napi::Number::New(env, static_cast<double>(result_));
  }

private:
  Fd fd_;
  bool writes_;
  uint8_t* data_;
  size_t length_;
  Napi::ObjectReference held_;
  ssize_t result_ = 0;
  int error_ = 0;
};

Napi::Value StartTransfer(const Napi::CallbackInfo& info, bool writes) {
  (void)BytesArg(info, 1);
  return StartTask(info.Env(), std::make_unique<Transfer>(info.Env(), Duplicate(info), info[1], writes));
}

// tapeRead(fd, into): Promise<number>
Napi::Value TapeRead(const Napi::CallbackInfo& info) {
  return StartTransfer(info, false);
}

// tapeWrite(fd, data): Promise<number>
Napi::Value TapeWrite(const Napi::CallbackInfo& info) {
  return StartTransfer(info, true);
}

// One SCSI command whose reply, if any, goes from the device to us.
class Command : public Task {
public:
  Command(Fd fd, Bytes cdb, size_t reply, uint32_t timeoutMs)
      : fd_(std::move(fd)), cdb_(cdb.begin(), cdb.end()), reply_(reply), timeoutMs_(timeoutMs) {}

  void Run() override {
    sg_io_hdr header{};
    header.interface_id = 'S';
    header.cmdp = cdb_.data();
    header.cmd_len = static_cast<unsigned char>(cdb_.size());
    header.dxfer_direction = reply_.empty() ? SG_DXFER_NONE : SG_DXFER_FROM_DEV;
    header.dxferp = reply_.data();
    header.dxfer_len = static_cast<unsigned>(reply_.size());
    header.sbp = sense_;
    header.mx_sb_len = sizeof sense_;
    header.timeout = timeoutMs_;
    error_ = ioctl(fd_.Get(), SG_IO, &header) == 0 ? 0 : errno;
    fd_ = Fd();
    if (error_)
      return;
    // host_status: the command did not reach the device or was lost on its way.
    if (header.host_status != 0 || (header.driver_status & 0x0f) == 0x06)
      error_ = EIO;
    status_ = header.status;
    senseLength_ = header.sb_len_wr;
    const auto missing = std::clamp<int>(header.resid, 0, static_cast<int>(reply_.size()));
    reply_.resize(reply_.size() - static_cast<size_t>(missing));
  }

  Napi::Value Result(Napi::Env env) override {
    if (error_)
      ThrowErrno(env, error_, "ioctl");
    Napi::Object result = Napi::Object::New(env);
    result.Set("status", Napi::Number::New(env, status_));
    result.Set("sense", Napi::Buffer<uint8_t>::Copy(env, sense_, senseLength_));
    result.Set("data", Napi::Buffer<uint8_t>::Copy(env, reply_.data(), reply_.size()));
    return result;
  }

private:
  Fd fd_;
  std::vector<uint8_t> cdb_;
  std::vector<uint8_t> reply_;
  uint32_t timeoutMs_;
  uint8_t sense_[kSenseLength] = {};
  size_t senseLength_ = 0;
  int status_ = 0;
  int error_ = 0;
};

// scsiCommand(fd, cdb, replyLength, timeoutMs): Promise<{status, sense, data}>
Napi::Value ScsiCommand(const Napi::CallbackInfo& info) {
  const Bytes cdb = BytesArg(info, 1);
  const uint32_t reply = Uint32Arg(info, 2);
  if (cdb.size() < 6 || cdb.size() > 16 || reply > kLargestReply)
    ThrowArgument(info.Env(), "a command has 6 to 16 bytes and a reply of at most 64 KiB");
  return StartTask(info.Env(), std::make_unique<Command>(Duplicate(info), cdb, reply, Uint32Arg(info, 3)));
}

Napi::Object Constants(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  const auto constant = [&](const char* name, int value) { result.Set(name, Napi::Number::New(env, value)); };
  constant("MTFSF", MTFSF);
  constant("MTFSR", MTFSR);
  constant("MTWEOF", MTWEOF);
  constant("MTWEOFI", MTWEOFI);
  constant("MTREW", MTREW);
  constant("MTOFFL", MTOFFL);
  constant("MTEOM", MTEOM);
  constant("MTSEEK", MTSEEK);
  constant("MTSETBLK", MTSETBLK);
  constant("MTSETDRVBUFFER", MTSETDRVBUFFER);
  constant("MTLOAD", MTLOAD);
  constant("MTUNLOAD", MTUNLOAD);
  constant("MTLOCK", MTLOCK);
  constant("MTUNLOCK", MTUNLOCK);
  constant("setBooleans", MT_ST_SETBOOLEANS);
  constant("clearBooleans", MT_ST_CLEARBOOLEANS);
  constant("bufferWrites", MT_ST_BUFFER_WRITES);
  constant("asyncWrites", MT_ST_ASYNC_WRITES);
  constant("readAhead", MT_ST_READ_AHEAD);
  constant("twoFilemarks", MT_ST_TWO_FM);
  constant("fastEom", MT_ST_FAST_MTEOM);
  constant("autoLock", MT_ST_AUTO_LOCK);
  constant("canBsr", MT_ST_CAN_BSR);
  constant("scsi2Logical", MT_ST_SCSI2LOGICAL);
  return result;
}

} // namespace

void InitTape(Napi::Env env, Napi::Object exports) {
  exports.Set("tape", Constants(env));
  exports.Set("tapeOperation", Napi::Function::New(env, TapeOperation, "tapeOperation"));
  exports.Set("tapeStatus", Napi::Function::New(env, TapeStatus, "tapeStatus"));
  exports.Set("tapePosition", Napi::Function::New(env, TapePosition, "tapePosition"));
  exports.Set("tapeRead", Napi::Function::New(env, TapeRead, "tapeRead"));
  exports.Set("tapeWrite", Napi::Function::New(env, TapeWrite, "tapeWrite"));
  exports.Set("scsiCommand", Napi::Function::New(env, ScsiCommand, "scsiCommand"));
}

} // namespace hsm
