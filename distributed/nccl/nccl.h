#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

/// NCCL, opened at run time. Its few declarations stand here, with their values of NCCL 2, so that no build needs its header. In
/// builds with CUDA only.
namespace gpucnn::nccl {

/// ncclResult_t.
enum class Result : int {
  success,
  unhandled_cuda_error,
  system_error,
  internal_error,
  invalid_argument,
  invalid_usage,
  remote_error,
  in_progress
};

/// ncclDataType_t: those that are used.
enum class DataType : int { i8 = 0, i32 = 2, i64 = 4, f32 = 7, f64 = 8 };

/// ncclRedOp_t: those that are used. Beyond them are the ones that red_op_create_premul_sum makes.
enum class Operation : int { sum = 0, max = 2, min = 3 };

/// ncclScalarResidence_t.
enum class Residence : int { device = 0, host = 1 };

/// ncclUniqueId: what the ranks of one communicator know each other by.
struct UniqueId {
  char bytes[128];
};

/// ncclComm, which nobody looks into.
struct Handle;

/// The calls that are used. Each name is the library's without its prefix.
struct Functions {
  Result (*get_version)(int* version);
  Result (*get_unique_id)(UniqueId* id);
  const char* (*get_error_string)(Result result);
  const char* (*get_last_error)(Handle* handle);
  Result (*comm_init_rank)(Handle** handle, int ranks, UniqueId id, int rank);
  Result (*comm_destroy)(Handle* handle);
  Result (*comm_abort)(Handle* handle);
  Result (*comm_get_async_error)(Handle* handle, Result* error);
  Result (*all_reduce)(const void* from, void* to, std::size_t count, DataType type, Operation operation, Handle* handle,
                       cudaStream_t stream);
  Result (*broadcast)(const void* from, void* to, std::size_t count, DataType type, int root, Handle* handle, cudaStream_t stream);
  Result (*red_op_create_premul_sum)(Operation* operation, void* scalar, DataType type, Residence residence, Handle* handle);
  Result (*red_op_destroy)(Operation operation, Handle* handle);
};

/// Opens the library at the first call. Throws `DeviceError` without it, or if it is older than 2.14.
const Functions& functions();

/// "unhandled system error (…)": what NCCL says of a result, and what it said last.
std::string text_of(Result result, Handle* handle);

/// Throws `DeviceError` that names the call, with NCCL's text, unless it succeeded. `handle` may be null.
void check(Result result, const char* call, Handle* handle = nullptr);

}  // namespace gpucnn::nccl
