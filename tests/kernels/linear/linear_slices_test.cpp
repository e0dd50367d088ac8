#include <gpucnn/kernels/linear/linear_slices.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/copy/cast.h>

#include "close.h"
#include "device_test.h"
#include "reference/linear.h"

namespace gpucnn::kernels {
namespace {

using reference::Values;

struct Sizes {
  std::int64_t N, in, out;

  Shape x() const { return {N, in}; }
  Shape weight() const { return {out, in}; }
  Shape y() const { return {N, out}; }
};

/// One of everything, whole tiles, one more and one less, and what no wide load fits.
const Sizes kSizes[] = {{1, 1, 1},    {64, 64, 64},  {128, 256, 128}, {65, 129, 65},  {63, 127, 63}, {3, 300, 5},
                        {150, 8, 72}, {130, 72, 10}, {5, 36, 150},    {200, 100, 12}, {2, 700, 66}};
/// Large enough for several slices each way, no whole number of them.
const Sizes kSliced{300, 330, 70};

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

/// What a precision multiplies.
float rounded(Precision precision, float value) {
  if (precision == Precision::bf16) return to_float(to_bf16(value));
  if (precision == Precision::fp32 || !std::isfinite(value)) return value;
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + 0x1000U) & ~0x1FFFU);
}

Values widen(Precision precision, std::vector<float> values) {
  for (float& value : values) value = rounded(precision, value);
  return reference::widen(values);
}

Values magnitudes(Values values) {
  for (double& value : values) value = std::abs(value);
  return values;
}

struct Data {
  std::vector<float> x, weight, dy;
};

Data random_data(const Sizes& sizes, unsigned seed = 1) {
  using reference::random_floats;
  return {random_floats(sizes.N * sizes.in, seed), random_floats(sizes.out * sizes.in, seed + 1),
          random_floats(sizes.N * sizes.out, seed + 2)};
}

/// What an element should be, and the sum of its products' magnitudes: what its rounding errors are measured by.
struct Expected {
  Values values, magnitudes;
};

/// A tensor that begins `at` elements behind a boundary, with NaN around it.
class Memory {
 public:
  Memory(const Shape& shape, DType dtype, std::int64_t at, Device device) : first_(kFence + at), count_(shape.numel()) {
    Tensor around = Tensor::empty({first_ + count_ + kFence}, dtype);
    std::memset(around.bytes(), 0xFF, around.nbytes());
    around_ = around.to(device);
    tensor = around_.view(first_, shape);
  }

  /// The tensor's values; nobody wrote around it.
  std::vector<float> values(Stream& stream) const {
    Tensor wide = around_;
    if (around_.dtype() == DType::bf16) {
      wide = Tensor::empty(around_.shape(), DType::f32, stream.device());
      cast(around_, wide, stream);
    }
    const std::vector<float> all = wide.to_vector<float>();
    const auto begin = all.begin() + first_, end = begin + count_;
    EXPECT_THAT(std::vector<float>(all.begin(), begin), testing::Each(testing::IsNan()));
    EXPECT_THAT(std::vector<float>(end, all.end()), testing::Each(testing::IsNan()));
    return {begin, end};
  }

 private:
  // Short, so that AddressSanitizer sees who reads a tile that is not there; and whole chunks.
  static constexpr std::int64_t kFence = 8;
  std::int64_t first_, count_;
  Tensor around_;

 public:
  Tensor tensor;
};

struct Gradients {
  std::vector<float> slices, dx;
};

class LinearSlicesTest : public DeviceTest {
 protected:
  Memory operand(const std::vector<float>& values, const Shape& shape, DType dtype, std::int64_t at) {
    Memory memory(shape, dtype, at, device());
    const Tensor given = tensor(values, shape);
    if (dtype == DType::bf16) {
      cast(given, memory.tensor, stream());
    } else {
      memory.tensor.copy_from(given);
    }
    return memory;
  }

  std::vector<float> forward(Precision precision, const Sizes& sizes, const Data& data, std::int64_t at = 0) {
    const Memory x = operand(data.x, sizes.x(), activation_dtype(precision, Device::cuda()), at);
    const Memory weight = operand(data.weight, sizes.weight(), DType::f32, at);
    const std::int64_t slices = cuda::linear_forward_slices(sizes.N, sizes.in, sizes.out);
    Memory sums({slices, sizes.N, sizes.out}, DType::f32, at, device());
    cuda::linear_forward_slices(x.tensor, weight.tensor, precision, sums.tensor, stream());
    return sums.values(stream());
  }

  Gradients backward(Precision precision, const Sizes& sizes, const Data& data, std::int64_t at = 0, bool bias = true,
                     bool wants_dx = true) {
    const DType dtype = activation_dtype(precision, Device::cuda());
    const Memory x = operand(data.x, sizes.x(), dtype, at), dy = operand(data.dy, sizes.y(), dtype, at);
    const Memory weight = operand(data.weight, sizes.weight(), DType::f32, at);
    const std::int64_t slices = cuda::linear_backward_slices(sizes.N, sizes.in, sizes.out);
    Memory sums({slices, sizes.out * sizes.in + (bias ? sizes.out : 0)}, DType::f32, at, device());
    Memory dx(sizes.x(), dtype, at, device());
    Tensor none;
    cuda::linear_backward_slices(x.tensor, dy.tensor, wants_dx ? weight.tensor : Tensor{}, precision, sums.tensor,
                                 wants_dx ? dx.tensor : none, stream());
    return {sums.values(stream()), wants_dx ? dx.values(stream()) : std::vector<float>()};
  }

  /// What the slices add up to.
  static Values added(const std::vector<float>& slices, std::int64_t count) {
    Values sums(slices.size() / static_cast<std::size_t>(count));
    for (std::size_t e = 0; e < slices.size(); ++e) sums[e % sums.size()] += static_cast<double>(slices[e]);
    return sums;
  }

  static Expected expected_y(Precision precision, const Sizes& sizes, const Data& data) {
    const auto N = static_cast<std::size_t>(sizes.N), in = static_cast<std::size_t>(sizes.in);
    const auto out = static_cast<std::size_t>(sizes.out);
    const Values x = widen(precision, data.x), weight = widen(precision, data.weight);
    return {reference::linear(N, in, out, x, weight, {}), reference::linear(N, in, out, magnitudes(x), magnitudes(weight), {})};
  }

  /// Of dweight and behind it dbias, and of dx.
  static std::pair<Expected, Expected> expected_gradients(Precision precision, const Sizes& sizes, const Data& data) {
    const auto N = static_cast<std::size_t>(sizes.N), in = static_cast<std::size_t>(sizes.in);
    const auto out = static_cast<std::size_t>(sizes.out);
    const Values x = widen(precision, data.x), weight = widen(precision, data.weight), dy = widen(precision, data.dy);
    auto exact = reference::linear_backward(N, in, out, x, weight, dy);
    auto bound = reference::linear_backward(N, in, out, magnitudes(x), magnitudes(weight), magnitudes(dy));
    if (precision == Precision::tf32)
      exact.dbias = reference::linear_backward(N, in, out, x, weight, reference::widen(data.dy)).dbias;
    const auto joined = [](Values first, const Values& second) {
      first.insert(first.end(), second.begin(), second.end());
      return first;
    };
    return {{joined(exact.dweight, exact.dbias), joined(bound.dweight, bound.dbias)}, {exact.dx, bound.dx}};
  }

  static void expect_sums(const Values& actual, const Expected& expected, double rounding = 0) {
    ASSERT_EQ(actual.size(), expected.values.size());
    for (std::size_t i = 0; i < actual.size(); ++i) {
      const double a = actual[i], e = expected.values[i];
      if (a == e || (std::isnan(a) && std::isnan(e))) continue;
      const double allowed = kSum.of_largest * expected.magnitudes[i] + rounding * std::abs(e);
      ASSERT_TRUE(std::isfinite(e) && std::abs(a - e) <= allowed)
          << "element " << i << " of " << actual.size() << ": " << a << ", expected " << e << " within " << allowed;
    }
  }

  void expect_reference(Precision precision, const Sizes& sizes, const Data& data, std::int64_t at = 0) {
    SCOPED_TRACE(testing::Message() << "N " << sizes.N << ", in " << sizes.in << ", out " << sizes.out << ", from element " << at
                                    << " in " << name_of(precision));
    const std::int64_t slices = cuda::linear_forward_slices(sizes.N, sizes.in, sizes.out);
    expect_sums(added(forward(precision, sizes, data, at), slices), expected_y(precision, sizes, data));
    const Gradients actual = backward(precision, sizes, data, at);
    const auto [parameters, dx] = expected_gradients(precision, sizes, data);
    expect_sums(added(actual.slices, cuda::linear_backward_slices(sizes.N, sizes.in, sizes.out)), parameters);
    expect_sums(reference::widen(actual.dx), dx, precision == Precision::bf16 ? kBf16.relative : 0);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, LinearSlicesTest, testing::Values(Device::cuda()), device_name);

constexpr Precision kPrecisions[] = {Precision::fp32, Precision::tf32, Precision::bf16};

TEST_P(LinearSlicesTest, EqualTheReference) {
  for (const Precision precision : kPrecisions) {
    for (const Sizes& sizes : kSizes) expect_reference(precision, sizes, random_data(sizes));
    expect_reference(precision, kSliced, random_data(kSliced));
  }
}

TEST_P(LinearSlicesTest, TakeViewsThatBeginAtAnyElement) {
  for (const Precision precision : kPrecisions) {
    for (const std::int64_t at : {1, 2, 4}) expect_reference(precision, {66, 128, 72}, random_data({66, 128, 72}), at);
  }
}

TEST_P(LinearSlicesTest, ServeManySizesAndManyMoreDo) {
  std::mt19937 random(18);
  const auto draw = [&](int last) { return std::int64_t{std::uniform_int_distribution(1, last)(random)}; };
  for (unsigned drawn = 0; drawn < 200; ++drawn) {
    const Sizes sizes{draw(150), draw(300), draw(150)};
    for (const Precision precision : kPrecisions) expect_reference(precision, sizes, random_data(sizes, 3 * drawn));
  }
}

TEST_P(LinearSlicesTest, ServeTheFirstLayerOfSimpleCnn) {
  const Sizes sizes{128, 2048, 128};
  for (const Precision precision : kPrecisions) expect_reference(precision, sizes, random_data(sizes));
}

TEST_P(LinearSlicesTest, GiveTheSameBitsTwice) {
  const Data data = random_data(kSliced);
  for (const Precision precision : kPrecisions) {
    EXPECT_EQ(forward(precision, kSliced, data), forward(precision, kSliced, data));
    const Gradients once = backward(precision, kSliced, data), again = backward(precision, kSliced, data);
    EXPECT_EQ(once.slices, again.slices);
    EXPECT_EQ(once.dx, again.dx);
  }
}

TEST_P(LinearSlicesTest, LeaveOutWhatIsNotWanted) {
  const Data data = random_data(kSliced);
  const auto weights = static_cast<std::size_t>(kSliced.out * kSliced.in), row = weights + static_cast<std::size_t>(kSliced.out);
  for (const Precision precision : kPrecisions) {
    const Gradients all = backward(precision, kSliced, data);
    EXPECT_EQ(backward(precision, kSliced, data, 0, true, false).slices, all.slices);
    const Gradients without_bias = backward(precision, kSliced, data, 0, false);
    EXPECT_EQ(without_bias.dx, all.dx);
    for (std::size_t e = 0; e < without_bias.slices.size(); ++e) {
      ASSERT_EQ(without_bias.slices[e], all.slices[e / weights * row + e % weights]) << e;
    }
  }
}

// What is outside a tile must not meet what is not finite.
TEST_P(LinearSlicesTest, LetNanAndInfinityThroughAsProductsDo) {
  const Sizes sizes{70, 130, 66};
  for (const Precision precision : kPrecisions) {
    Data data = random_data(sizes);
    data.x[69 * 130 + 129] = kNan;
    data.x[3 * 130 + 64] = kInfinity;
    data.weight[65 * 130 + 129] = -kInfinity;
    data.weight[2 * 130 + 5] = kNan;
    data.dy[69 * 66 + 65] = kInfinity;
    data.dy[10 * 66] = kNan;
    expect_reference(precision, sizes, data);
  }
}

TEST_P(LinearSlicesTest, FillAGpuWhereShapesAllow) {
  EXPECT_EQ(cuda::linear_forward_slices(128, 2048, 128), 32);  // of 64 features
  EXPECT_EQ(cuda::linear_forward_slices(1024, 2048, 128), 8);  // times 32 tiles
  EXPECT_EQ(cuda::linear_forward_slices(8192, 2048, 128), 2);  // no f32 sum of more than 1024 products
  EXPECT_EQ(cuda::linear_forward_slices(1, 1, 1), 1);
  EXPECT_EQ(cuda::linear_forward_slices(1 << 20, 4096, 128), 1);  // or more than 64 MiB
  EXPECT_EQ(cuda::linear_backward_slices(1, 2048, 128), 1);
  EXPECT_EQ(cuda::linear_backward_slices(128, 2048, 128), 2);   // of 64 rows
  EXPECT_EQ(cuda::linear_backward_slices(1024, 2048, 128), 4);  // times 64 tiles
  EXPECT_EQ(cuda::linear_backward_slices(8192, 2048, 128), 8);
}

}  // namespace
}  // namespace gpucnn::kernels
