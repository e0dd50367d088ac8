#include <core/gpu/warp/products.h>

#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/core/gpu/graph_capture.h>

#include "close.h"
#include "device_test.h"
#include "reference/values.h"

// What core/gpu/ has for warps, on a GPU where there is one.
namespace gpucnn {
namespace {

using reference::random_floats;
using testing::Each;

class WarpTest : public DeviceTest {
 protected:
  int capability() { return gpu::queue(device()).compute_capability(); }

  /// Tensor cores are asked for from compute capability 8.0 on.
  bool has_tensor_cores() { return capability() >= 80; }

  /// As bf16, of an even number of values.
  Tensor halves(const std::vector<float>& values) {
    std::vector<std::uint32_t> pairs;
    for (std::size_t i = 0; i < values.size(); i += 2) pairs.push_back(to_bf16(values[i]).bits | to_bf16(values[i + 1]).bits << 16);
    return words(pairs);
  }
  static const bf16* half_data(const Tensor& x) { return reinterpret_cast<const bf16*>(x.device_data<float>()); }
  Tensor words(const std::vector<std::uint32_t>& values) {
    std::vector<float> bits(values.size());
    std::transform(values.begin(), values.end(), bits.begin(), [](std::uint32_t word) { return std::bit_cast<float>(word); });
    return tensor(bits);
  }
  static std::vector<std::uint32_t> words(const Tensor& x) {
    std::vector<std::uint32_t> all;
    for (const float value : x.to_vector<float>()) all.push_back(std::bit_cast<std::uint32_t>(value));
    return all;
  }
  static std::uint32_t* word_data(Tensor& x) { return reinterpret_cast<std::uint32_t*>(x.device_data<float>()); }
};
INSTANTIATE_TEST_SUITE_P(Devices, WarpTest, testing::Values(Device::cuda()), device_name);

/// y = a b for a[M, K]; b is [N, K] if its columns lie together, else [K, N].
reference::Values product(const std::vector<float>& a, const std::vector<float>& b, int M, int N, int K, bool columns) {
  reference::Values y(static_cast<std::size_t>(M * N));
  for (int m = 0; m < M; ++m) {
    for (int n = 0; n < N; ++n) {
      for (int k = 0; k < K; ++k) {
        const auto from_a = static_cast<double>(a[static_cast<std::size_t>(m * K + k)]);
        const auto from_b = static_cast<double>(b[static_cast<std::size_t>(columns ? n * K + k : k * N + n)]);
        y[static_cast<std::size_t>(m * N + n)] += from_a * from_b;
      }
    }
  }
  return y;
}

std::vector<float> random_bf16(int count, unsigned seed) {
  std::vector<float> values = random_floats(count, seed);
  for (float& value : values) value = to_float(to_bf16(value));
  return values;
}

TEST_P(WarpTest, MultipliesBf16ByRows) {
  if (!has_tensor_cores()) GTEST_SKIP() << "below compute capability 8.0";
  for (const auto& [M, N, K] : {std::array{16, 8, 16}, {16, 8, 32}, {32, 24, 16 * 9}, {64, 8, 16 * 20}}) {
    SCOPED_TRACE(testing::Message() << M << " x " << N << " x " << K);
    const std::vector<float> a = random_bf16(M * K, 1), b = random_bf16(K * N, 2);
    Tensor y = empty({M, N});
    products::bf16_rows(stream(), half_data(halves(a)), half_data(halves(b)), y.device_data<float>(), M, N, K);
    expect_close(y.to_vector<float>(), product(a, b, M, N, K, false), kVendorSum);
  }
}

TEST_P(WarpTest, MultipliesBf16ByColumns) {
  if (!has_tensor_cores()) GTEST_SKIP() << "below compute capability 8.0";
  for (const auto& [M, N, K] : {std::array{16, 8, 2}, {16, 8, 16}, {48, 16, 30}, {32, 8, 130}}) {
    SCOPED_TRACE(testing::Message() << M << " x " << N << " x " << K);
    const std::vector<float> a = random_bf16(M * K, 3), b = random_bf16(N * K, 4);
    Tensor y = empty({M, N});
    products::bf16_columns(stream(), half_data(halves(a)), half_data(halves(b)), y.device_data<float>(), M, N, K);
    expect_close(y.to_vector<float>(), product(a, b, M, N, K, true), kVendorSum);
  }
}

TEST_P(WarpTest, MultipliesTf32) {
  if (!has_tensor_cores()) GTEST_SKIP() << "below compute capability 8.0";
  for (const auto& [M, N, K] : {std::array{16, 8, 1}, {16, 8, 8}, {48, 16, 29}, {32, 8, 131}}) {
    SCOPED_TRACE(testing::Message() << M << " x " << N << " x " << K);
    const std::vector<float> a = random_floats(M * K, 5), b = random_floats(N * K, 6);
    Tensor y = empty({M, N});
    products::tf32_columns(stream(), tensor(a).device_data<float>(), tensor(b).device_data<float>(), y.device_data<float>(), M, N,
                           K);
    expect_close(y.to_vector<float>(), product(a, b, M, N, K, true), kTf32);
    // Of numbers that tf32 holds no bit is lost before the sum.
    const std::vector<float> short_a = random_bf16(M * K, 7), short_b = random_bf16(N * K, 8);
    products::tf32_columns(stream(), tensor(short_a).device_data<float>(), tensor(short_b).device_data<float>(),
                           y.device_data<float>(), M, N, K);
    expect_close(y.to_vector<float>(), product(short_a, short_b, M, N, K, true), kVendorSum);
  }
}

TEST_P(WarpTest, PacksAndComparesBf16) {
  if (!has_tensor_cores()) GTEST_SKIP() << "below compute capability 8.0";
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x = random_floats(998, 9);
  for (const float special : {0.0F, -0.0F, nan, infinity, -infinity, 1 + 0x1p-8F, 1 + 0x3p-8F, 0x1p-130F, 3e38F, -1.0F})
    x.push_back(special);
  // The other side: each number itself, its neighbour, its negative.
  std::vector<std::uint32_t> packed, z, larger, equal;
  const auto bits = [](float value) { return std::uint32_t{std::isnan(value) ? std::uint16_t{0x7FFF} : to_bf16(value).bits}; };
  const auto value_of = [](std::uint32_t half) { return to_float(bf16{static_cast<std::uint16_t>(half)}); };
  for (std::size_t i = 0; i < x.size(); i += 2) {
    std::uint32_t words[4] = {};
    for (std::size_t half = 0; half < 2; ++half) {
      const float other = (i + half) % 3 == 0 ? x[i + half] : (i + half) % 3 == 1 ? x[(i + half + 1) % x.size()] : -x[i + half];
      const std::uint32_t own = bits(x[i + half]), its = bits(other);
      const float a = value_of(own), b = value_of(its);
      const std::uint32_t most = std::isnan(a) || std::isnan(b) ? 0x7FFFU : a == b ? (own & its) : a > b ? own : its;
      const std::uint32_t results[4] = {own, its, a == b && a == 0 ? (own == its ? own : 0U) : most, a == b ? 0xFFFFU : 0U};
      for (int word = 0; word < 4; ++word) words[word] |= results[word] << 16 * half;
    }
    packed.push_back(words[0]);
    z.push_back(words[1]);
    larger.push_back(words[2]);
    equal.push_back(words[3]);
  }
  Tensor y = empty({packed.size()}), greater = empty({packed.size()}), mask = empty({packed.size()});
  const Tensor other = words(z);
  products::packed(stream(), tensor(x).device_data<float>(), reinterpret_cast<const std::uint32_t*>(other.device_data<float>()),
                   word_data(y), word_data(greater), word_data(mask), static_cast<int>(packed.size()));
  EXPECT_EQ(words(y), packed);
  EXPECT_EQ(words(greater), larger);
  EXPECT_EQ(words(mask), equal);
}

TEST_P(WarpTest, OverlappedKernelsSeeWhatTheOneBeforeWrote) {
  Tensor y = tensor(std::vector<float>(64, 0));
  products::overlapped_steps(stream(), y.device_data<float>(), 100);
  EXPECT_THAT(y.to_vector<float>(), Each(100));
  std::unique_ptr<gpu::Graph> graph;
  {
    gpu::Capture capture(device(), nullptr);
    products::overlapped_steps(stream(), y.device_data<float>(), 5);
    graph = capture.finish();
  }
  for (int i = 0; i < 10; ++i) graph->launch();
  EXPECT_THAT(y.to_vector<float>(), Each(150));
}

TEST_P(WarpTest, HasAllSharedMemoryOfTheGpu) {
  Tensor y = tensor(std::vector<float>{0});
  const auto most = static_cast<int>(gpu::queue(device()).max_shared_bytes() / sizeof(float));
  std::unique_ptr<gpu::Graph> graph;
  {
    gpu::Capture capture(device(), nullptr);  // the kernel's first launch is captured
    products::sum_of_shared(stream(), y.device_data<float>(), most);
    EXPECT_FALSE(capture.refused());
    graph = capture.finish();
  }
  graph->launch();
  const auto sum = [](int words) { return static_cast<float>(static_cast<double>(words) * (words - 1) / 2); };
  EXPECT_THAT(y.to_vector<float>(), Each(sum(most)));
  products::sum_of_shared(stream(), y.device_data<float>(), 1000);
  EXPECT_THAT(y.to_vector<float>(), Each(sum(1000)));
  EXPECT_THROW(products::sum_of_shared(stream(), y.device_data<float>(), most + 1), DeviceError);
}

}  // namespace
}  // namespace gpucnn
