#include "planted.h"

#include <bit>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/gpu/warp/async_copy.h>
#include <gpucnn/core/gpu/warp/ldmatrix.h>

namespace gpucnn::planted {
namespace {

constexpr int kThreads = 64;
constexpr unsigned kAllLanes = 0xFFFFFFFF;

__global__ void write_global_kernel(float* y, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) y[i] = 1;
}

__global__ void write_static_shared_kernel(float* y, unsigned shift) {
  GPUCNN_SHARED(float, values, kThreads);
  values[threadIdx.x + shift] = static_cast<float>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = values[threadIdx.x];
}

__global__ void write_dynamic_shared_kernel(float* y, unsigned shift) {
  float* values = dynamic_shared<float>();
  values[threadIdx.x + shift] = static_cast<float>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = values[threadIdx.x];
}

__global__ void reverse_kernel(float* y, bool fault) {
  GPUCNN_SHARED(float, values, kThreads);
  values[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (!fault) __syncthreads();
  y[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}

__global__ void reverse_warp_kernel(float* y, bool fault) {
  GPUCNN_SHARED(float, values, 32);
  values[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (fault) {
    __shfl_sync(kAllLanes, 1, 0);
  } else {
    __syncwarp();
  }
  y[threadIdx.x] = values[31 - threadIdx.x];
}

__global__ void write_twice_kernel(float* y, bool fault) {
  const bool other = fault && threadIdx.x == 33;
  y[other ? 0 : threadIdx.x] = static_cast<float>(threadIdx.x);
}

__global__ void write_from_blocks_kernel(float* y, bool fault) {
  if (threadIdx.x == 0) y[fault ? 0 : blockIdx.x] = static_cast<float>(blockIdx.x);
}

__global__ void sum_in_last_block_kernel(float* y, float* partial, unsigned* finished, bool fault) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = static_cast<float>(blockIdx.x);
  __threadfence();
  const bool last = fault ? blockIdx.x == gridDim.x - 1 : atomicAdd(finished, 1) == gridDim.x - 1;
  if (!last) return;
  __threadfence();
  float sum = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += partial[b];
  y[0] = sum;
}

__global__ void load_matrices_kernel(float* y, bool fault) {
  GPUCNN_SHARED(float, values, 4 * 32);
  for (unsigned i = threadIdx.x; i < 4 * 32; i += 32) values[i ^ 1] = static_cast<float>(i ^ 1);  // another lane reads it
  if (!fault) __syncwarp();
  std::uint32_t rows[4];
  warp::ldmatrix(rows, &values[4 * threadIdx.x]);
  for (unsigned i = 0; i < 2; ++i) y[32 * i + threadIdx.x] = std::bit_cast<float>(rows[i]);
}

__global__ void load_dynamic_matrices_kernel(float* y) {
  float* values = dynamic_shared<float>();
  if (threadIdx.x < 31) values[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncwarp();
  std::uint32_t rows[2];
  warp::ldmatrix(rows, &values[4 * (threadIdx.x % 8)]);
  y[threadIdx.x] = std::bit_cast<float>(rows[0]);
}

enum class Copy { clean, read_before_wait, write_before_read, read_beyond };

__global__ void copy_kernel(const float* x, float* y, Copy fault) {
  GPUCNN_SHARED(float, values, kThreads);
  values[threadIdx.x] = 0;
  __syncthreads();
  const unsigned other = kThreads - 1 - threadIdx.x;
  const float old = values[other];
  if (fault != Copy::write_before_read) __syncthreads();
  warp::async_copy<4>(&values[threadIdx.x], &x[threadIdx.x + (fault == Copy::read_beyond ? 1 : 0)]);
  warp::async_copy_commit();
  __syncthreads();  // which does not order the reads of old values before the copy, but before its wait
  if (fault != Copy::read_before_wait) warp::async_copy_wait<0>();
  __syncthreads();
  y[threadIdx.x] = values[other] + old;
  if (fault == Copy::read_before_wait) warp::async_copy_wait<0>();
}

}  // namespace

void write_global(const Stream& stream, float* y, std::int64_t count, bool fault) {
  launch(stream, "write_global", {count / kThreads + 1, kThreads}, write_global_kernel, y, fault ? count + 1 : count);
}

void write_static_shared(const Stream& stream, float* y, bool fault) {
  launch(stream, "write_static_shared", {1, kThreads}, write_static_shared_kernel, y, fault ? 1 : 0);
}

void write_dynamic_shared(const Stream& stream, float* y, bool fault) {
  launch(stream, "write_dynamic_shared", {1, kThreads, kThreads * sizeof(float)}, write_dynamic_shared_kernel, y, fault ? 1 : 0);
}

void reverse(const Stream& stream, float* y, bool fault) { launch(stream, "reverse", {1, kThreads}, reverse_kernel, y, fault); }

void reverse_warp(const Stream& stream, float* y, bool fault) {
  launch(stream, "reverse_warp", {1, 32}, reverse_warp_kernel, y, fault);
}

void write_twice(const Stream& stream, float* y, bool fault) {
  launch(stream, "write_twice", {1, kThreads}, write_twice_kernel, y, fault);
}

void write_from_blocks(const Stream& stream, float* y, bool fault) {
  launch(stream, "write_from_blocks", {4, kThreads}, write_from_blocks_kernel, y, fault);
}

void sum_in_last_block(const Stream& stream, float* y, float* partial, unsigned* finished, bool fault) {
  launch(stream, "sum_in_last_block", {4, kThreads}, sum_in_last_block_kernel, y, partial, finished, fault);
}

void load_matrices(const Stream& stream, float* y, bool fault) {
  launch(stream, "load_matrices", {1, 32}, load_matrices_kernel, y, fault);
}

void load_dynamic_matrices(const Stream& stream, float* y, bool fault) {
  launch(stream, "load_dynamic_matrices", {1, 32, (fault ? 31 : 32) * sizeof(float)}, load_dynamic_matrices_kernel, y);
}

void copy_and_read(const Stream& stream, const float* x, float* y, bool fault) {
  launch(stream, "copy_and_read", {1, kThreads}, copy_kernel, x, y, fault ? Copy::read_before_wait : Copy::clean);
}

void copy_over(const Stream& stream, const float* x, float* y, bool fault) {
  launch(stream, "copy_over", {1, kThreads}, copy_kernel, x, y, fault ? Copy::write_before_read : Copy::clean);
}

void copy_beyond(const Stream& stream, const float* x, float* y, bool fault) {
  launch(stream, "copy_beyond", {1, kThreads}, copy_kernel, x, y, fault ? Copy::read_beyond : Copy::clean);
}

}  // namespace gpucnn::planted
