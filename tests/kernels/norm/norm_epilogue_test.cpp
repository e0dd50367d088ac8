#include <gpucnn/kernels/norm/norm_epilogue.h>

#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/kernels/copy/cast.h>
#include <gpucnn/kernels/norm/batch_norm2d.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"
#include "unaligned.h"

// BatchNorm2d with an epilogue gives what the same steps give one by one.
namespace gpucnn::kernels {
namespace {

using reference::random_floats;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// What a forward and a backward give.
struct Passes {
  Tensor y, dsum, dx, dweight, dbias;

  std::vector<float> all() const {
    std::vector<float> values;
    for (const Tensor& tensor : {y, dsum, dx, dweight, dbias}) {
      if (!tensor.defined()) continue;
      const std::vector<float> more = tensor.to_vector<float>();
      values.insert(values.end(), more.begin(), more.end());
    }
    return values;
  }
};

class NormEpilogueTest : public DeviceTest {
 protected:
  struct Operands {
    Tensor x, addend, dy, statistics, weight, bias;
  };

  /// Of a random shape. The first channel is constant, so that y is 0 in all of it, or just its bias. Some hold a NaN.
  Operands drawn(std::mt19937& engine, bool nan) {
    const auto up_to = [&](std::uint32_t most) { return static_cast<std::int64_t>(engine() % most) + 1; };
    const auto seed = [&] { return static_cast<unsigned>(engine()); };
    const Shape shape{up_to(5), up_to(3) == 1 ? 16 * up_to(5) : up_to(70), up_to(9), up_to(33)};
    const std::int64_t C = shape[1];
    std::vector<float> x = random_floats(shape.numel(), seed()), bias = random_floats(C, seed());
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (static_cast<std::int64_t>(i) / (shape[2] * shape[3]) % C == 0) x[i] = 0.25F;
    }
    if (nan) x.back() = kNan;
    bias[0] = 0;
    Operands o{.x = tensor(x, shape),
               .addend = tensor(random_floats(shape.numel(), seed()), shape),
               .dy = tensor(random_floats(shape.numel(), seed()), shape),
               .statistics = empty({4, C}),
               .weight = tensor(random_floats(C, seed())),
               .bias = tensor(bias)};
    batch_norm2d_statistics(o.x, 1e-5, o.statistics, stream());
    return o;
  }

  Passes backward(const Operands& o, const NormEpilogueBackward& epilogue, const Tensor& dy, bool fixed) {
    Passes p{.dsum = epilogue.dsum, .dx = like(o.x), .dweight = like(o.weight), .dbias = like(o.bias)};
    batch_norm2d_backward(o.x, o.statistics, o.weight, dy, fixed, epilogue, {}, p.dweight, p.dbias, p.dx, stream());
    return p;
  }

  Passes together(const Operands& o, bool adds, bool fixed) {
    Tensor y = like(o.x);
    batch_norm2d(o.x, o.statistics, o.weight, o.bias, {.addend = adds ? o.addend : Tensor{}, .relu = true}, y, stream());
    NormEpilogueBackward epilogue{.relu = true, .bias = o.bias};
    if (adds) epilogue = {.relu = true, .y = y, .dsum = like(o.x)};
    Passes passes = backward(o, epilogue, o.dy, fixed);
    passes.y = y;
    return passes;
  }

  Passes one_by_one(const Operands& o, bool adds, bool fixed) {
    Tensor y = like(o.x), dsum = like(o.x);
    batch_norm2d(o.x, o.statistics, o.weight, o.bias, {}, y, stream());
    if (adds) add(y, o.addend, y, stream());
    activation(y, {Activation::relu}, y, stream());
    activation_backward(y, {Activation::relu}, o.dy, dsum, stream());
    Passes passes = backward(o, {}, dsum, fixed);
    passes.y = y;
    if (adds) passes.dsum = dsum;
    return passes;
  }

  Tensor like(const Tensor& x) const { return empty(x.shape(), x.dtype()); }
  Tensor in(DType dtype, const Tensor& x) {
    Tensor y = empty(x.shape(), dtype);
    cast(x, y, stream());
    return y;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, NormEpilogueTest, devices(), device_name);

TEST_P(NormEpilogueTest, GivesTheBitsOfTheStepsOneByOne) {
  std::mt19937 engine(1);
  for (int i = 0; i < 32; ++i) {
    const bool adds = i % 2 == 1, fixed = i % 4 > 1, nan = i % 8 == 7;
    const Operands o = drawn(engine, nan);
    SCOPED_TRACE(o.x.shape().string() + (adds ? " with an addend" : ""));
    everywhere(device(), [&] {
      const std::vector<float> all = together(o, adds, fixed).all();
      expect_close(all, as_doubles(one_by_one(o, adds, fixed).all()), kSameValue);
      return nan ? std::vector<float>() : all;
    });
  }
}

TEST_P(NormEpilogueTest, AnAddendComesWithoutAReluToo) {
  std::mt19937 engine(2);
  const Operands o = drawn(engine, false);
  Tensor y = like(o.x), expected = like(o.x);
  batch_norm2d(o.x, o.statistics, o.weight, o.bias, {.addend = o.addend}, y, stream());
  batch_norm2d(o.x, o.statistics, o.weight, o.bias, {}, expected, stream());
  add(expected, o.addend, expected, stream());
  EXPECT_EQ(y.to_vector<float>(), expected.to_vector<float>());
}

TEST_P(NormEpilogueTest, TheGradientOfTheSumComesWithoutOthersToo) {
  std::mt19937 engine(3);
  const Operands o = drawn(engine, false);
  const Passes expected = one_by_one(o, true, false);
  Tensor dsum = like(o.x), none;
  batch_norm2d_backward(o.x, o.statistics, o.weight, o.dy, true, {.relu = true, .y = expected.y, .dsum = dsum}, {}, none, none,
                        none, stream());
  EXPECT_EQ(dsum.to_vector<float>(), expected.dsum.to_vector<float>());
}

TEST_P(NormEpilogueTest, ViewsMayBeginAnywhere) {
  std::mt19937 engine(4);
  Operands o = drawn(engine, false);
  while (o.x.dim(1) % 4 != 0) o = drawn(engine, false);
  const Tensor expected = together(o, true, false).y;
  for (Tensor Operands::*moved : {&Operands::x, &Operands::addend}) {
    Operands other = o;
    other.*moved = unaligned(o.*moved);
    EXPECT_EQ(together(other, true, false).y.to_vector<float>(), expected.to_vector<float>());
  }
}

TEST_P(NormEpilogueTest, In16BitsRoundsOnceWhatItGivesIn32) {
  if (device().kind == Device::Kind::cpu) GTEST_SKIP() << "bf16 is for GPUs";
  std::mt19937 engine(5);
  for (int i = 0; i < 16; ++i) {
    const bool adds = i % 2 == 1, fixed = i % 4 > 1;
    Operands narrow = drawn(engine, false), wide = narrow;
    SCOPED_TRACE(narrow.x.shape().string());
    for (Tensor Operands::*each : {&Operands::x, &Operands::addend, &Operands::dy}) {
      narrow.*each = in(DType::bf16, narrow.*each);
      wide.*each = in(DType::f32, narrow.*each);
    }
    const Passes actual = together(narrow, adds, fixed), expected = together(wide, adds, fixed);
    for (Tensor Passes::*each : {&Passes::y, &Passes::dsum, &Passes::dx}) {
      if (!(actual.*each).defined()) continue;
      EXPECT_EQ(in(DType::f32, actual.*each).to_vector<float>(),
                in(DType::f32, in(DType::bf16, expected.*each)).to_vector<float>());
    }
    EXPECT_EQ(actual.dweight.to_vector<float>(), expected.dweight.to_vector<float>());
    EXPECT_EQ(actual.dbias.to_vector<float>(), expected.dbias.to_vector<float>());
  }
}

TEST_P(NormEpilogueTest, RefusesWhatDoesNotFit) {
  Tensor x = empty({2, 3, 4, 4}), statistics = empty({4, 3}), flat = empty({2, 3}), none;
  EXPECT_THAT([&] { batch_norm2d(x, statistics, {}, {}, {.addend = flat}, x, stream()); }, misuse("batch_norm2d: addend must be"));
  const auto backward = [&](const NormEpilogueBackward& epilogue) {
    batch_norm2d_backward(x, statistics, {}, x, false, epilogue, {}, none, none, none, stream());
  };
  EXPECT_THAT([&] { backward({.relu = true, .y = flat}); }, misuse("batch_norm2d_backward: y must be"));
  EXPECT_THAT([&] { backward({.relu = true, .bias = flat}); }, misuse("batch_norm2d_backward: bias must be [3]"));
  EXPECT_THAT([&] { backward({.relu = true, .dsum = flat}); }, misuse("batch_norm2d_backward: dsum must be"));
  EXPECT_THAT([&] { backward({.dsum = x}); }, misuse("batch_norm2d_backward: dsum is dy where there was no ReLU"));
}

}  // namespace
}  // namespace gpucnn::kernels
