#include <core/gpu/warp/products.h>

#include <bit>

#include <gpucnn/core/gpu/dependent_launch.h>
#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/gpu/warp/async_copy.h>
#include <gpucnn/core/gpu/warp/ldmatrix.h>
#include <gpucnn/core/gpu/warp/mma.h>
#include <gpucnn/core/gpu/warp/packed_bf16.h>

namespace gpucnn::products {
namespace {

constexpr int kM = 16, kN = 8, kStages = 3;

/// Where the calling warp's tile of y begins. The grid has a warp for each.
struct Tile {
  int row, column;
};

__device__ Tile tile_of_block(int N) {
  const int tile = static_cast<int>(blockIdx.x), across = N / kN;
  return {tile / across * kM, tile % across * kN};
}

__device__ void store(const float (&d)[4], Tile tile, int N, float* y) {
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 4; ++i) {
    const std::int64_t row = tile.row + lane / 4 + 8 * (i / 2);
    y[row * N + tile.column + 2 * (lane % 4) + i % 2] = d[i];
  }
}

__global__ void __launch_bounds__(32) bf16_rows_kernel(const bf16* a, const bf16* b, float* y, int N, int K) {
  GPUCNN_SHARED(bf16, a_stages, kStages * kM * 16);
  GPUCNN_SHARED(bf16, b_stages, kStages * 16 * kN);
  const Tile tile = tile_of_block(N);
  const int lane = static_cast<int>(threadIdx.x), steps = K / 16;
  const auto begin = [&](int step) {
    if (step < steps) {
      bf16* to_a = a_stages + step % kStages * kM * 16;
      const std::int64_t row = tile.row + lane / 2;
      warp::async_copy<16>(to_a + 8 * lane, a + row * K + 16 * step + 8 * (lane % 2));
      bf16* to_b = b_stages + step % kStages * 16 * kN;
      if (lane < 16) warp::async_copy<16>(to_b + 8 * lane, b + (std::int64_t{16} * step + lane) * N + tile.column);
    }
    warp::async_copy_commit();
  };
  for (int step = 0; step < kStages - 1; ++step) begin(step);
  float d[4] = {};
  for (int step = 0; step < steps; ++step) {
    warp::async_copy_wait<kStages - 2>();
    __syncwarp();  // others see what this lane has waited for, and all are done with the stage that is filled next
    begin(step + kStages - 1);
    const bf16* from_a = a_stages + step % kStages * kM * 16;
    const bf16* from_b = b_stages + step % kStages * 16 * kN;
    std::uint32_t fa[4], fb[2];
    warp::ldmatrix(fa, from_a + lane % 16 * 16 + lane / 16 * 8);
    warp::ldmatrix_transposed(fb, from_b + lane % 16 * kN);
    warp::mma_bf16(d, fa, fb);
  }
  warp::async_copy_wait<0>();
  store(d, tile, N, y);
}

__global__ void __launch_bounds__(32) bf16_columns_kernel(const bf16* a, const bf16* b, float* y, int N, int K) {
  GPUCNN_SHARED(bf16, a_tile, kM * 16);
  GPUCNN_SHARED(bf16, b_tile, kN * 16);
  const Tile tile = tile_of_block(N);
  const int lane = static_cast<int>(threadIdx.x);
  // Two elements at a time; behind the end of a row zeros.
  const auto copy = [&](bf16* to, const bf16* from, int rows, int first_row, int k) {
    for (int i = lane; i < rows * 8; i += 32) {
      const int at = k + i % 8 * 2;
      const bf16* row = from + static_cast<std::int64_t>(first_row + i / 8) * K;
      warp::async_copy<4>(to + 2 * i, at < K ? row + at : row, at < K ? 4 : 0);
    }
  };
  float d[4] = {};
  for (int k = 0; k < K; k += 16) {
    __syncwarp();
    copy(a_tile, a, kM, tile.row, k);
    copy(b_tile, b, kN, tile.column, k);
    warp::async_copy_commit();
    warp::async_copy_wait<0>();
    __syncwarp();
    std::uint32_t fa[4], fb[2];
    warp::ldmatrix(fa, a_tile + lane % 16 * 16 + lane / 16 * 8);
    warp::ldmatrix(fb, b_tile + lane % 8 * 16 + lane / 8 % 2 * 8);
    warp::mma_bf16(d, fa, fb);
  }
  store(d, tile, N, y);
}

__global__ void __launch_bounds__(32) tf32_columns_kernel(const float* a, const float* b, float* y, int N, int K) {
  GPUCNN_SHARED(float, a_tile, kM * 8);
  GPUCNN_SHARED(float, b_tile, kN * 8);
  const Tile tile = tile_of_block(N);
  const int lane = static_cast<int>(threadIdx.x);
  const auto copy = [&](float* to, const float* from, int rows, int first_row, int k) {
    for (int i = lane; i < rows * 8; i += 32) {
      const int at = k + i % 8;
      const float* row = from + static_cast<std::int64_t>(first_row + i / 8) * K;
      warp::async_copy<4>(to + i, at < K ? row + at : row, at < K ? 4 : 0);
    }
  };
  const auto round = [](std::uint32_t& word) { word = warp::to_tf32(std::bit_cast<float>(word)); };
  float d[4] = {};
  for (int k = 0; k < K; k += 8) {
    __syncwarp();
    copy(a_tile, a, kM, tile.row, k);
    copy(b_tile, b, kN, tile.column, k);
    warp::async_copy_commit();
    warp::async_copy_wait<0>();
    __syncwarp();
    std::uint32_t fa[4], fb[2];
    warp::ldmatrix(fa, a_tile + lane % 16 * 8 + lane / 16 * 4);
    warp::ldmatrix(fb, b_tile + lane % 8 * 8 + lane / 8 % 2 * 4);
    for (std::uint32_t& word : fa) round(word);
    for (std::uint32_t& word : fb) round(word);
    warp::mma_tf32(d, fa, fb);
  }
  store(d, tile, N, y);
}

__global__ void packed_kernel(const float* x, const std::uint32_t* z, std::uint32_t* y, std::uint32_t* larger, std::uint32_t* equal,
                              int count) {
  const int stride = static_cast<int>(gridDim.x * blockDim.x);
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < count; i += stride) {
    y[i] = warp::pack_bf16(x[2 * i], x[2 * i + 1]);
    larger[i] = warp::max_bf16(y[i], z[i]);
    equal[i] = warp::equal_bf16(y[i], z[i]);
  }
}

__global__ void overlapped_step_kernel(float* y) {
  launch_dependents();
  wait_for_previous_kernel();
  y[threadIdx.x] += 1;
}

__global__ void sum_of_shared_kernel(float* y, int words) {
  float* memory = dynamic_shared<float>();
  for (int i = static_cast<int>(threadIdx.x); i < words; i += static_cast<int>(blockDim.x)) memory[i] = static_cast<float>(i);
  __syncthreads();
  if (threadIdx.x != 0) return;
  double sum = 0;
  for (int i = 0; i < words; ++i) sum += static_cast<double>(memory[i]);
  y[0] = static_cast<float>(sum);
}

LaunchShape grid(int M, int N) { return {std::int64_t{M / kM} * (N / kN), 32}; }

}  // namespace

void bf16_rows(const Stream& stream, const bf16* a, const bf16* b, float* y, int M, int N, int K) {
  launch(stream, "bf16_rows", grid(M, N), bf16_rows_kernel, a, b, y, N, K);
}

void bf16_columns(const Stream& stream, const bf16* a, const bf16* b, float* y, int M, int N, int K) {
  launch(stream, "bf16_columns", grid(M, N), bf16_columns_kernel, a, b, y, N, K);
}

void tf32_columns(const Stream& stream, const float* a, const float* b, float* y, int M, int N, int K) {
  launch(stream, "tf32_columns", grid(M, N), tf32_columns_kernel, a, b, y, N, K);
}

void packed(const Stream& stream, const float* x, const std::uint32_t* z, std::uint32_t* y, std::uint32_t* larger,
            std::uint32_t* equal, int count) {
  launch(stream, "packed", {4, 64}, packed_kernel, x, z, y, larger, equal, count);
}

void overlapped_steps(const Stream& stream, float* y, int count) {
  for (int i = 0; i < count; ++i) {
    launch(stream, "overlapped_step", {.blocks = 1, .threads = 64, .overlaps_previous = i > 0}, overlapped_step_kernel, y);
  }
}

void sum_of_shared(const Stream& stream, float* y, int words) {
  launch(stream, "sum_of_shared", {1, 64, words * sizeof(float)}, sum_of_shared_kernel, y, words);
}

}  // namespace gpucnn::products
