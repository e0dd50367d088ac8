#include <gpucnn/distributed/nccl/nccl.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/shared_library.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn::nccl {
namespace {

/// It has all functions, and its calls may be captured beside others that are not.
constexpr int kMinVersion = 21400;

const gpu::SharedLibrary& library() {
  static const gpu::SharedLibrary& opened = *new gpu::SharedLibrary("NCCL", "libnccl.so.2", {"nccl"});
  return opened;
}

}  // namespace

const Functions& functions() {
  static const Functions table = [] {
    Functions f{};
    library().load("ncclGetVersion", f.get_version);
    int version = 0;
    f.get_version(&version);
    if (version < kMinVersion) {
      throw DeviceError(formatted("NCCL {}.{} ({}) is older than 2.14, which libgpucnn needs", version / 10000, version / 100 % 100,
                                  library().path()));
    }
    library().load("ncclGetUniqueId", f.get_unique_id);
    library().load("ncclGetErrorString", f.get_error_string);
    library().load("ncclGetLastError", f.get_last_error);
    library().load("ncclCommInitRank", f.comm_init_rank);
    library().load("ncclCommDestroy", f.comm_destroy);
    library().load("ncclCommAbort", f.comm_abort);
    library().load("ncclCommGetAsyncError", f.comm_get_async_error);
    library().load("ncclAllReduce", f.all_reduce);
    library().load("ncclBroadcast", f.broadcast);
    library().load("ncclRedOpCreatePreMulSum", f.red_op_create_premul_sum);
    library().load("ncclRedOpDestroy", f.red_op_destroy);
    return f;
  }();
  return table;
}

std::string text_of(Result result, Handle* handle) {
  const char* last = functions().get_last_error(handle);
  const std::string text = functions().get_error_string(result);
  return last && *last ? formatted("{} ({})", text, last) : text;
}

void check(Result result, const char* call, Handle* handle) {
  if (result == Result::success) return;
  throw DeviceError(formatted("{} failed: {}", call, text_of(result, handle)));
}

}  // namespace gpucnn::nccl
