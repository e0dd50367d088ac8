#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/gpu/warp/ldmatrix.h>
#include <gpucnn/core/gpu/warp/mma.h>
#include <gpucnn/core/gpu/warp/packed_bf16.h>

#include "standins/device_memory.h"

// What the PTX ISA says of mma, ldmatrix and packed bf16, asked of the emulator.
namespace gpucnn {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr int kM = 16, kN = 8;

const Stream& stream() {
  static const Stream the(Device::cuda());
  return the;
}

template <class... Parameters>
void run(const char* name, int threads, void (*kernel)(Parameters...), std::type_identity_t<Parameters>... arguments) {
  launch(stream(), name, {1, threads}, kernel, arguments...);
  cudaStreamSynchronize(gpu::queue(Device::cuda()).stream());
}

std::uint32_t bf16_bits(float value) { return to_bf16(value).bits; }

// ---- products --------------------------------------------------------------------------------------------------------

// Each block multiplies matrices of its own, row-major, after the ISA's formulas for the element i of a lane's fragment.

__global__ void bf16_kernel(const float* a, const float* b, float* d) {
  const int group = static_cast<int>(threadIdx.x) >> 2, in_group = static_cast<int>(threadIdx.x) % 4;
  a += blockIdx.x * kM * 16;
  b += blockIdx.x * 16 * kN;
  d += blockIdx.x * kM * kN;
  std::uint32_t fa[4] = {}, fb[2] = {};
  for (int i = 0; i < 8; ++i) {
    const int row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
    const int column = in_group * 2 + (i & 1) + (i < 4 ? 0 : 8);
    fa[i / 2] |= std::uint32_t{to_bf16(a[row * 16 + column]).bits} << 16 * (i % 2);
  }
  for (int i = 0; i < 4; ++i) {
    const int row = in_group * 2 + (i & 1) + (i < 2 ? 0 : 8);
    fb[i / 2] |= std::uint32_t{to_bf16(b[row * kN + group]).bits} << 16 * (i % 2);
  }
  float fd[4] = {};
  for (int i = 0; i < 4; ++i) fd[i] = d[(i < 2 ? group : group + 8) * kN + in_group * 2 + (i & 1)];
  warp::mma_bf16(fd, fa, fb);
  for (int i = 0; i < 4; ++i) d[(i < 2 ? group : group + 8) * kN + in_group * 2 + (i & 1)] = fd[i];
}

__global__ void tf32_kernel(const float* a, const float* b, float* d, bool round) {
  const int group = static_cast<int>(threadIdx.x) >> 2, in_group = static_cast<int>(threadIdx.x) % 4;
  a += blockIdx.x * kM * 8;
  b += blockIdx.x * 8 * kN;
  d += blockIdx.x * kM * kN;
  std::uint32_t fa[4] = {}, fb[2] = {};
  const auto operand = [=](float value) { return round ? warp::to_tf32(value) : std::bit_cast<std::uint32_t>(value); };
  for (int i = 0; i < 4; ++i) fa[i] = operand(a[(i == 0 || i == 2 ? group : group + 8) * 8 + in_group + (i < 2 ? 0 : 4)]);
  for (int i = 0; i < 2; ++i) fb[i] = operand(b[(in_group + (i == 0 ? 0 : 4)) * kN + group]);
  float fd[4] = {};
  for (int i = 0; i < 4; ++i) fd[i] = d[(i < 2 ? group : group + 8) * kN + in_group * 2 + (i & 1)];
  warp::mma_tf32(fd, fa, fb);
  for (int i = 0; i < 4; ++i) d[(i < 2 ? group : group + 8) * kN + in_group * 2 + (i & 1)] = fd[i];
}

/// Every block has a one in another place of A, so that one row of D is one row of B; B and D are all different numbers.
struct Placed {
  explicit Placed(int K) : a(static_cast<std::size_t>(kM * K * kM * K)), b(static_cast<std::size_t>(kM * K * K * kN)) {
    for (int place = 0; place < kM * K; ++place) {
      a[static_cast<std::size_t>(place * kM * K + place)] = 1;
      for (int i = 0; i < K * kN; ++i) b[static_cast<std::size_t>(place * K * kN + i)] = static_cast<float>(i + 1);
      for (int i = 0; i < kM * kN; ++i) {
        d.push_back(static_cast<float>(1000 * i));
        const bool row = i / kN == place / K;
        expected.push_back(d.back() + (row ? static_cast<float>(place % K * kN + i % kN + 1) : 0.0F));
      }
    }
  }

  std::vector<float> a, b, d, expected;
};

TEST(EmulatedMma, PlacesEveryElementOfBf16) {
  const Placed matrices(16);
  const DeviceMemory<float> a(matrices.a), b(matrices.b), d(matrices.d);
  launch(stream(), "bf16", {kM * 16, 32}, bf16_kernel, a.data(), b.data(), d.data());
  EXPECT_EQ(d.values(), matrices.expected);
}

TEST(EmulatedMma, PlacesEveryElementOfTf32) {
  const Placed matrices(8);
  const DeviceMemory<float> a(matrices.a), b(matrices.b), d(matrices.d);
  launch(stream(), "tf32", {kM * 8, 32}, tf32_kernel, a.data(), b.data(), d.data(), true);
  EXPECT_EQ(d.values(), matrices.expected);
}

TEST(EmulatedMma, AddsInDoubleAndRoundsOnce) {
  // 1 and twice half of its last bit: in f32 each half would be rounded away.
  std::vector<float> a(kM * 16), b(16 * kN);
  for (int k = 0; k < 2; ++k) {
    a[static_cast<std::size_t>(k)] = 1;
    for (int n = 0; n < kN; ++n) b[static_cast<std::size_t>(k * kN + n)] = 0x1p-24F;
  }
  const DeviceMemory<float> da(a), db(b), d(std::vector<float>(kM * kN, 1));
  launch(stream(), "bf16", {1, 32}, bf16_kernel, da.data(), db.data(), d.data());
  std::vector<float> first_row = d.values();
  first_row.resize(kN);
  EXPECT_THAT(first_row, Each(1 + 0x1p-23F));
}

TEST(EmulatedMma, KeepsNan) {
  std::vector<float> a(kM * 8);
  a[8 * 3] = std::numeric_limits<float>::quiet_NaN();
  const DeviceMemory<float> da(a), db(std::vector<float>(8 * kN, 1)), d(std::vector<float>(kM * kN, 0));
  launch(stream(), "tf32", {1, 32}, tf32_kernel, da.data(), db.data(), d.data(), true);
  const std::vector<float> values = d.values();
  for (int i = 0; i < kM * kN; ++i) EXPECT_EQ(std::isnan(values[static_cast<std::size_t>(i)]), i / kN == 3) << i;
}

TEST(EmulatedMmaDeathTest, RefusesFloatsThatAreNoTf32) {
  const DeviceMemory<float> a(std::vector<float>(kM * 8, 0.1F)), b(std::vector<float>(8 * kN, 1)),
      d(std::vector<float>(kM * kN, 0));
  EXPECT_DEATH(run("tf32", 32, tf32_kernel, a.data(), b.data(), d.data(), false),
               "kernel tf32, block 0, thread [0-9]+: mma_tf32 of a float that to_tf32 has not rounded");
}

__global__ void deserted_mma_kernel() {
  if (threadIdx.x == 5) return;
  float d[4] = {};
  const std::uint32_t a[4] = {}, b[2] = {};
  warp::mma_bf16(d, a, b);
}

TEST(EmulatedMmaDeathTest, WantsAllLanes) {
  EXPECT_DEATH(run("deserted", 32, deserted_mma_kernel), "kernel deserted, block 0.*thread 0 waits at mma_bf16");
  EXPECT_DEATH(run("short", 24, deserted_mma_kernel), "kernel short, block 0, thread [0-9]+: mma_bf16 .*the warp has 24 threads");
}

__global__ void to_tf32_kernel(const float* x, std::uint32_t* y) { y[threadIdx.x] = warp::to_tf32(x[threadIdx.x]); }

TEST(EmulatedMma, RoundsToTf32) {
  const float infinity = std::numeric_limits<float>::infinity();
  const DeviceMemory<float> x({1, 1 + 0x1p-11F, -1 - 0x1p-11F, 1 + 0x1.FFp-12F, std::numeric_limits<float>::max(), -infinity});
  const DeviceMemory<std::uint32_t> y(6);
  launch(stream(), "to_tf32", {1, 6}, to_tf32_kernel, x.data(), y.data());
  std::vector<float> floats;
  for (const std::uint32_t bits : y.values()) floats.push_back(std::bit_cast<float>(bits));
  EXPECT_THAT(floats, ElementsAre(1.0F, 1 + 0x1p-10F, -1 - 0x1p-10F, 1.0F, infinity, -infinity));
}

TEST(EmulatedMmaDeathTest, IsNotThereOnOldGpus) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv("GPUCNN_STANDIN_CAPABILITY", "7.5", 1);
  EXPECT_DEATH(run("deserted", 32, deserted_mma_kernel),
               "kernel deserted, block 0, thread [0-9]+: mma_bf16 needs compute capability 8.0, and this GPU has 7.5");
  const DeviceMemory<float> x({1}), y(1);
  EXPECT_DEATH(run("to_tf32", 1, to_tf32_kernel, x.data(), reinterpret_cast<std::uint32_t*>(y.data())), "to_tf32 needs compute");
  unsetenv("GPUCNN_STANDIN_CAPABILITY");
}

// ---- ldmatrix --------------------------------------------------------------------------------------------------------

constexpr int kRowBytes = 48;  // rows lie apart, and in the order that `row_of` says

__device__ int row_of(int i) { return (i * 5 + 3) % 32; }

/// Row r of matrix m, element c: 100 m + 10 r + c.
__device__ void fill_rows(unsigned char* memory) {
  const int lane = static_cast<int>(threadIdx.x);
  for (int c = 0; c < 8; ++c) {
    const auto value = static_cast<std::uint16_t>(100 * (lane / 8) + 10 * (lane % 8) + c);
    *reinterpret_cast<std::uint16_t*>(memory + row_of(lane) * kRowBytes + 2 * c) = value;
  }
  __syncwarp();
}

template <int kMatrices, bool kTransposed>
__global__ void ldmatrix_kernel(std::uint32_t* y) {
  auto* memory = dynamic_shared<unsigned char>();
  fill_rows(memory);
  const int lane = static_cast<int>(threadIdx.x);
  const void* row = lane < 8 * kMatrices ? memory + row_of(lane) * kRowBytes : nullptr;
  std::uint32_t fragments[kMatrices];
  if constexpr (kTransposed) {
    warp::ldmatrix_transposed(fragments, row);
  } else {
    warp::ldmatrix(fragments, row);
  }
  for (int i = 0; i < kMatrices; ++i) y[32 * i + lane] = fragments[i];
}

template <int kMatrices, bool kTransposed>
void expect_fragments() {
  const DeviceMemory<std::uint32_t> y(32 * kMatrices);
  launch(stream(), "ldmatrix", {1, 32, 32 * kRowBytes}, ldmatrix_kernel<kMatrices, kTransposed>, y.data());
  std::vector<std::uint32_t> expected;
  for (unsigned i = 0; i < kMatrices; ++i) {
    for (unsigned lane = 0; lane < 32; ++lane) {
      const auto at = [i](unsigned row, unsigned column) { return 100 * i + 10 * row + column; };
      const unsigned one = lane / 4, two = lane % 4 * 2;
      expected.push_back(kTransposed ? at(two, one) | at(two + 1, one) << 16 : at(one, two) | at(one, two + 1) << 16);
    }
  }
  EXPECT_EQ(y.values(), expected);
}

TEST(EmulatedLdmatrix, GivesFragmentsAsTheManualSays) {
  expect_fragments<4, false>();
  expect_fragments<2, false>();
  expect_fragments<4, true>();
  expect_fragments<2, true>();
}

enum class Misuse { unaligned, not_shared, beyond, lanes_missing };

__global__ void ldmatrix_misuse_kernel(Misuse misuse, const std::uint32_t* global, std::uint32_t* y) {
  auto* memory = dynamic_shared<unsigned char>();
  const int lane = static_cast<int>(threadIdx.x);
  const void* row = memory + 16 * lane;
  if (misuse == Misuse::lanes_missing && lane == 7) return;
  if (misuse == Misuse::unaligned && lane == 7) row = memory + 8;
  if (misuse == Misuse::not_shared && lane == 7) row = global;
  if (misuse == Misuse::beyond && lane == 31) row = memory + 32 * 16;
  std::uint32_t fragments[4];
  warp::ldmatrix(fragments, row);
  y[lane] = fragments[0];
}

TEST(EmulatedLdmatrixDeathTest, RefusesWhatTheManualForbids) {
  const DeviceMemory<std::uint32_t> x(4), y(32);
  const auto load = [&](Misuse misuse) {
    launch(stream(), "load", {1, 32, 32 * 16 + 8}, ldmatrix_misuse_kernel, misuse, x.data(), y.data());
    y.values();
  };
  const std::string where = "kernel load, block 0, thread ";
  EXPECT_DEATH(load(Misuse::unaligned), where + "7: ldmatrix of a row whose address is no multiple of 16 bytes");
  EXPECT_DEATH(load(Misuse::not_shared), where + "7: ldmatrix x4 at an address that is not in the block's shared memory");
  EXPECT_DEATH(load(Misuse::beyond), where + "31: ldmatrix x4 goes beyond an array in shared memory|heap-buffer-overflow");
  EXPECT_DEATH(load(Misuse::lanes_missing), "kernel load, block 0.*thread 0 waits at ldmatrix x4");
}

// ---- packed bf16 -----------------------------------------------------------------------------------------------------

__global__ void pack_kernel(const float* x, std::uint32_t* y) {
  y[threadIdx.x] = warp::pack_bf16(x[2 * threadIdx.x], x[2 * threadIdx.x + 1]);
}

__global__ void max_kernel(const std::uint32_t* a, const std::uint32_t* b, std::uint32_t* larger, std::uint32_t* equal) {
  larger[threadIdx.x] = warp::max_bf16(a[threadIdx.x], b[threadIdx.x]);
  equal[threadIdx.x] = warp::equal_bf16(a[threadIdx.x], b[threadIdx.x]);
}

TEST(EmulatedPackedBf16, PacksTheFirstIntoTheLowerHalf) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const DeviceMemory<float> x({1, -2, 1 + 0x1p-8F, 1 + 0x3p-8F, -nan, std::numeric_limits<float>::max()});
  const DeviceMemory<std::uint32_t> y(3);
  launch(stream(), "pack", {1, 3}, pack_kernel, x.data(), y.data());
  // Of two equally near the even one; NaN is always the same.
  EXPECT_THAT(y.values(), ElementsAre(0xC0003F80U, 0x3F823F80U, 0x7F807FFFU));
}

TEST(EmulatedPackedBf16, ComparesEachHalf) {
  const auto pair = [](float first, float second) { return bf16_bits(first) | bf16_bits(second) << 16; };
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const DeviceMemory<std::uint32_t> a({pair(1, 2), pair(-1, -infinity), pair(nan, 1), pair(0.0F, -0.0F), pair(-0.0F, nan)});
  const DeviceMemory<std::uint32_t> b({pair(2, 2), pair(-2, infinity), pair(1, nan), pair(-0.0F, 0.0F), pair(-0.0F, nan)});
  const DeviceMemory<std::uint32_t> larger(5), equal(5);
  launch(stream(), "max", {1, 5}, max_kernel, a.data(), b.data(), larger.data(), equal.data());
  EXPECT_THAT(larger.values(), ElementsAre(pair(2, 2), pair(-1, infinity), 0x7FFF7FFFU, 0U, 0x7FFF8000U));
  EXPECT_THAT(equal.values(), ElementsAre(0xFFFF0000U, 0U, 0U, 0xFFFFFFFFU, 0xFFFFU));
}

}  // namespace
}  // namespace gpucnn
