#include <gpucnn/kernels/conv2d_relu_pool.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "close.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/conv2d.h"
#include "reference/max_pool2d.h"
#include "reference/relu.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;
using reference::widen;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::uint8_t kNobody = 4;
// Sums over many channels may be computed in another way.
constexpr std::int64_t kFewAndManyChannels[] = {1, 9, 17};

// ---- which layers --------------------------------------------------------------------------------------------------------------

TEST(Conv2dReluPoolServes, OneKindOfWindowOnTheCpu) {
  constexpr Conv2dOptions kConv{.kernel_size = 3, .padding = 1};
  constexpr Pool2d kPool{.kernel_size = 2, .stride = 2};
  const Device cpu = Device::cpu();
  EXPECT_TRUE(conv2d_relu_pool_serves(kConv, kPool, cpu));
  EXPECT_TRUE(conv2d_relu_pool_serves({.kernel_size = 3, .padding = 1, .bias = false}, kPool, cpu));
  EXPECT_FALSE(conv2d_relu_pool_serves(kConv, kPool, Device::cuda()));
  for (const Size2 other : {Size2{3, 5}, Size2{1, 3}, Size2(5)})
    EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = other, .padding = 1}, kPool, cpu));
  for (const Size2 other : {Size2{1, 2}, Size2{2, 1}, Size2(2)}) {
    EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3, .stride = other, .padding = 1}, kPool, cpu));
    EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3, .padding = other}, kPool, cpu));
    EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3, .padding = 1, .dilation = other}, kPool, cpu));
  }
  EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3}, kPool, cpu));
  EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3, .padding = 1, .groups = 2}, kPool, cpu));
  for (const Size2 other : {Size2{2, 3}, Size2{1, 2}, Size2(3)}) {
    EXPECT_FALSE(conv2d_relu_pool_serves(kConv, {.kernel_size = other, .stride = 2}, cpu));
    EXPECT_FALSE(conv2d_relu_pool_serves(kConv, {.kernel_size = 2, .stride = other}, cpu));
  }
  for (const Size2 other : {Size2{0, 1}, Size2{1, 0}, Size2(1)})
    EXPECT_FALSE(conv2d_relu_pool_serves(kConv, {.kernel_size = 2, .stride = 2, .padding = other}, cpu));
}

// ---- one problem ---------------------------------------------------------------------------------------------------------------

struct Sizes {
  std::int64_t N, C, H, W, K;
  bool bias = true;

  Shape x() const { return {N, C, H, W}; }
  Shape weight() const { return {K, C, 3, 3}; }
  Shape y() const { return {N, K, H / 2, W / 2}; }
  std::string string() const { return x().string() + " to " + std::to_string(K) + " channels" + (bias ? "" : " without bias"); }
  reference::Conv2d conv() const { return {.N = N, .C = C, .H = H, .W = W, .K = K, .kernel_size = 3, .padding = 1}; }
  reference::MaxPool2d pool() const { return {.planes = N * K, .H = H, .W = W, .kernel_size = 2, .stride = 2}; }
};

/// What goes in, in logical order.
struct Data {
  Sizes sizes;
  std::vector<float> x, weight, bias, dy;
};

Data random_data(const Sizes& sizes) {
  return {sizes, random_floats(sizes.x().numel(), 1), random_floats(sizes.weight().numel(), 2),
          random_floats(sizes.bias ? sizes.K : 0, 3), random_floats(sizes.y().numel(), 4)};
}

/// Small whole numbers, whose sums f32 has exactly, and among which many are equal.
Data whole_numbers(const Sizes& sizes) {
  Data data = random_data(sizes);
  for (float& value : data.x) value = std::round(3 * value);
  for (float& value : data.weight) value = std::round(2 * value);
  for (float& value : data.bias) value = std::round(4 * value);
  for (float& value : data.dy) value = std::round(3 * value);
  return data;
}

/// A tensor amid memory that is not its own, in which every f32 is NaN and every u8 255, from element `at` on behind a boundary.
class Fenced {
 public:
  Fenced() = default;
  Fenced(const Shape& shape, std::int64_t at, DType dtype = DType::f32)
      : first_(kFence + at), around_(Tensor::empty({first_ + shape.numel() + kFence}, dtype)) {
    std::memset(around_.bytes(), 0xFF, around_.nbytes());
    tensor = around_.view(first_, shape);
  }
  Fenced(const std::vector<float>& values, const Shape& shape, std::int64_t at) : Fenced(shape, at) {
    tensor.copy_from(Tensor::from(values, shape));
  }

  /// Whether nobody wrote around the tensor.
  bool holds() const {
    if (!tensor.defined()) return true;
    const auto untouched = [](std::byte byte) { return byte == std::byte{0xFF}; };
    const std::byte *begin = tensor.bytes(), *end = begin + tensor.nbytes();
    return std::all_of(around_.bytes(), begin, untouched) && std::all_of(end, around_.bytes() + around_.nbytes(), untouched);
  }

 private:
  static constexpr std::int64_t kFence = 64;
  std::int64_t first_ = 0;
  Tensor around_;

 public:
  Tensor tensor;
};

struct Results {
  std::vector<float> y, dweight, dbias, dx;
  std::vector<std::uint8_t> place;

  /// One after the other.
  std::vector<float> all() const {
    std::vector<float> all(place.begin(), place.end());
    for (const std::vector<float>* values : {&y, &dweight, &dbias, &dx}) all.insert(all.end(), values->begin(), values->end());
    return all;
  }
};

/// The tensors of one problem; results are NaN before they are computed.
struct Problem {
  explicit Problem(const Data& data, std::int64_t at = 0)
      : sizes(data.sizes),
        x(data.x, sizes.x(), at),
        weight(data.weight, sizes.weight(), at),
        bias(sizes.bias ? Fenced(data.bias, {sizes.K}, at) : Fenced()),
        dy(data.dy, sizes.y(), at),
        y(sizes.y(), at),
        dweight(sizes.weight(), at),
        dbias(sizes.bias ? Fenced(Shape{sizes.K}, at) : Fenced()),
        dx(sizes.x(), at),
        place(sizes.y(), at, DType::u8) {}

  Conv2dReluPool operands() { return {weight.tensor, bias.tensor, x.tensor, place.tensor, &kept}; }
  void forward() {
    Conv2dReluPool convolution = operands();
    conv2d_relu_pool({&convolution, 1}, y.tensor, stream);
  }
  void backward(Conv2dPlan::Accumulate accumulate = {}) {
    const Conv2dReluPool convolution = operands();
    Conv2dReluPoolGradients gradients{dweight.tensor, dbias.tensor, accumulate};
    conv2d_relu_pool_backward({&convolution, 1}, dy.tensor, {&gradients, 1}, dx.tensor, stream);
  }

  Results results() const {
    for (const Fenced* fenced : {&x, &weight, &bias, &dy, &y, &dweight, &dbias, &dx, &place}) EXPECT_TRUE(fenced->holds());
    const auto values = [](const Tensor& tensor) { return tensor.defined() ? tensor.to_vector<float>() : std::vector<float>(); };
    return {values(y.tensor), values(dweight.tensor), values(dbias.tensor), values(dx.tensor),
            place.tensor.to_vector<std::uint8_t>()};
  }

  Sizes sizes;
  Stream stream;
  Conv2dReluPoolWeights kept;
  Fenced x, weight, bias, dy, y, dweight, dbias, dx, place;
};

Results compute(const Data& data, std::int64_t at = 0) {
  Problem problem(data, at);
  problem.forward();
  problem.backward();
  return problem.results();
}

// ---- against the reference -----------------------------------------------------------------------------------------------------

struct Forward {
  Values activations;  // before they are pooled
  Values y;
  std::vector<std::uint8_t> place;
};

Forward reference_forward(const Data& data) {
  Forward forward;
  const Values conv = reference::conv2d(data.sizes.conv(), widen(data.x), widen(data.weight), widen(data.bias));
  forward.activations = reference::relu(conv);
  auto [y, place] = reference::max_pool2d(data.sizes.pool(), forward.activations);
  for (std::size_t e = 0; e < y.size(); ++e) {
    if (y[e] <= 0) place[e] = kNobody;
  }
  forward.y = std::move(y);
  forward.place = std::move(place);
  return forward;
}

reference::Conv2dGradients reference_backward(const Data& data, const std::vector<std::uint8_t>& place) {
  Values dy = widen(data.dy);
  std::vector<std::uint8_t> winners = place;
  for (std::size_t e = 0; e < dy.size(); ++e) {
    if (place[e] == kNobody) dy[e] = winners[e] = 0;
  }
  const Values through_pool = reference::max_pool2d_backward(data.sizes.pool(), dy, winners);
  return reference::conv2d_backward(data.sizes.conv(), widen(data.x), widen(data.weight), through_pool);
}

void expect_gradients(const Results& actual, const reference::Conv2dGradients& expected, Tolerance tolerance) {
  expect_close(actual.dweight, expected.dweight, tolerance);
  if (!actual.dbias.empty()) expect_close(actual.dbias, expected.dbias, tolerance);
  expect_close(actual.dx, expected.dx, tolerance);
}

/// The activation at each place; 0 where it is nobody's.
Values at_places(const Sizes& sizes, const Values& activations, const std::vector<std::uint8_t>& place) {
  const auto rows = static_cast<std::size_t>(sizes.H / 2), columns = static_cast<std::size_t>(sizes.W / 2);
  const auto H = static_cast<std::size_t>(sizes.H), W = static_cast<std::size_t>(sizes.W);
  Values found(place.size());
  for (std::size_t e = 0; e < place.size(); ++e) {
    const std::size_t h = e / columns % rows * 2 + place[e] / 2, w = e % columns * 2 + place[e] % 2;
    if (place[e] != kNobody) found[e] = activations[(e / (rows * columns) * H + h) * W + w];
  }
  return found;
}

const Sizes kSizes[] = {
    {1, 1, 2, 2, 1},          {3, 3, 3, 2, 5},    {1, 5, 7, 5, 17},
    {17, 3, 7, 5, 3, false},  {17, 5, 9, 13, 16}, {3, 16, 16, 16, 33, false},
    {3, 17, 5, 33, 5},        {1, 33, 6, 33, 65}, {17, 1, 6, 7, 70},
    {3, 70, 2, 3, 65, false}, {1, 3, 70, 64, 16},  // several bands of many rows
    {3, 17, 41, 33, 1},                            // the last lower than the others
    {1, 65, 20, 30, 70},                           // of one row each
    {3, 65, 7, 29, 3, false},
};

TEST(Conv2dReluPool, EqualsTheReference) {
  for (const Sizes& sizes : kSizes) {
    const Data data = random_data(sizes);
    const Forward expected = reference_forward(data);
    std::vector<std::uint8_t> place = expected.place;
    reference::Conv2dGradients gradients = reference_backward(data, place);
    for (const int at : {0, 1}) {
      SCOPED_TRACE(sizes.string() + ", from element " + std::to_string(at));
      everywhere(Device::cpu(), [&] {
        const Results actual = compute(data, at);
        expect_close(actual.y, expected.y, kSum);
        // Where two are as large up to rounding, either may win.
        expect_close(at_places(sizes, expected.activations, actual.place), expected.y, kSum);
        if (actual.place != place) gradients = reference_backward(data, place = actual.place);
        expect_gradients(actual, gradients, kSum);
        return actual.all();
      });
    }
  }
}

/// Expects the reference's numbers from every instruction set, where f32 has them exactly.
void expect_exactly(const Data& data) {
  SCOPED_TRACE(data.sizes.string());
  const Forward expected = reference_forward(data);
  const reference::Conv2dGradients gradients = reference_backward(data, expected.place);
  for (const std::int64_t target : ForcedInstructionSet::all()) {
    SCOPED_TRACE(hwy::TargetName(target));
    const ForcedInstructionSet forced(target);
    const Results actual = compute(data);
    expect_close(actual.y, expected.y, kSameValue);
    EXPECT_EQ(actual.place, expected.place);
    expect_gradients(actual, gradients, kSameValue);
  }
}

TEST(Conv2dReluPool, OfEqualsChoosesWhatTheReferenceDoes) {
  for (const Sizes& sizes : kSizes) expect_exactly(whole_numbers(sizes));
}

TEST(Conv2dReluPool, ServesEveryWidthAndHeight) {
  for (std::int64_t size = 2; size < 30; ++size) {
    for (const std::int64_t K : {3, 24}) {
      for (const std::int64_t C : {2, 9}) {
        expect_exactly(whole_numbers({2, C, 3, size, K}));
        expect_exactly(whole_numbers({2, C, size, 3, K}));
      }
    }
  }
}

TEST(Conv2dReluPool, ServesEveryNumberOfChannels) {
  for (std::int64_t channels = 1; channels < 72; ++channels) {
    expect_exactly(whole_numbers({2, channels, 5, 4, 3}));
    expect_exactly(whole_numbers({2, 3, 5, 4, channels}));
  }
}

TEST(Conv2dReluPool, GivesTheSameYWithoutPlaces) {
  for (const Sizes& sizes : kSizes) {
    SCOPED_TRACE(sizes.string());
    everywhere(Device::cpu(), [&] {
      Problem problem(random_data(sizes));
      problem.forward();
      const std::vector<float> expected = problem.results().y;
      problem.place.tensor = Tensor{};
      problem.y.tensor.copy_from(Tensor::full(sizes.y(), kNan));
      problem.forward();
      EXPECT_TRUE(problem.y.holds());
      EXPECT_EQ(problem.y.tensor.to_vector<float>(), expected);
      return expected;
    });
  }
}

TEST(Conv2dReluPool, TakesPartOfABatch) {
  for (const std::int64_t C : kFewAndManyChannels) {
    const Sizes sizes{7, C, 7, 5, 5}, middle{3, C, 7, 5, 5};
    SCOPED_TRACE(sizes.string());
    Problem whole(random_data(sizes)), part(random_data(middle));
    whole.forward();
    whole.backward();
    part.x.tensor = whole.x.tensor.narrow(2, 3);
    part.dy.tensor = whole.dy.tensor.narrow(2, 3);
    Tensor y = whole.y.tensor.clone(), place = whole.place.tensor.clone(), dx = whole.dx.tensor.clone();
    for (Tensor* tensor : {&y, &place, &dx}) std::memset(tensor->bytes(), 0xFF, tensor->nbytes());
    part.y.tensor = y.narrow(2, 3);
    part.place.tensor = place.narrow(2, 3);
    part.dx.tensor = dx.narrow(2, 3);
    part.forward();
    part.backward();
    EXPECT_EQ(part.y.tensor.to_vector<float>(), whole.y.tensor.narrow(2, 3).to_vector<float>());
    EXPECT_EQ(part.place.tensor.to_vector<std::uint8_t>(), whole.place.tensor.narrow(2, 3).to_vector<std::uint8_t>());
    EXPECT_EQ(part.dx.tensor.to_vector<float>(), whole.dx.tensor.narrow(2, 3).to_vector<float>());
    for (const std::int64_t other : {0, 1, 5, 6}) {
      EXPECT_THAT(y.narrow(other, 1).to_vector<float>(), testing::Each(testing::IsNan()));
      EXPECT_THAT(dx.narrow(other, 1).to_vector<float>(), testing::Each(testing::IsNan()));
      EXPECT_THAT(place.narrow(other, 1).to_vector<std::uint8_t>(), testing::Each(0xFF));
    }
  }
}

// ---- by hand -------------------------------------------------------------------------------------------------------------------

TEST(Conv2dReluPool, GivesValuesWorkedByHand) {
  // Channel 0: 76 66 / 46 36, of which the first wins. Channel 1, with negated weights: -37 -27 / -7 3, of which the last wins.
  const Data data{
      {1, 1, 2, 2, 2}, {1, 2, 3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2, -3, -4, -5, -6, -7, -8, -9}, {-1, 40}, {2, -1}};
  everywhere(Device::cpu(), [&] {
    const Results actual = compute(data);
    EXPECT_THAT(actual.y, testing::ElementsAre(76, 3));
    EXPECT_THAT(actual.place, testing::ElementsAre(0, 3));
    EXPECT_THAT(actual.dweight, testing::ElementsAre(0, 0, 0, 0, 2, 4, 0, 6, 8, -1, -2, 0, -3, -4, 0, 0, 0, 0));
    EXPECT_THAT(actual.dbias, testing::ElementsAre(2, -1));
    EXPECT_THAT(actual.dx, testing::ElementsAre(2 * 5 + 1, 2 * 6 + 2, 2 * 8 + 4, 2 * 9 + 5));
    return actual.all();
  });
}

/// An image whose convolution is its last channel, x. The others have numbers, of which nothing is taken.
Data identity(std::int64_t C, const std::vector<float>& x, std::int64_t H, std::int64_t W, const std::vector<float>& dy) {
  Data data = whole_numbers({1, C, H, W, 1, false});
  std::ranges::copy(x, data.x.end() - H * W);
  std::ranges::fill(data.weight, 0.0F);
  *(data.weight.end() - 5) = 1;
  data.dy = dy;
  return data;
}

std::vector<float> last(std::size_t count, const std::vector<float>& values) {
  return {values.end() - static_cast<std::ptrdiff_t>(count), values.end()};
}

/// Calls `check` with the results of every instruction set, for few and many channels; they are the last channel's.
template <class Check>
void for_identities(const std::vector<float>& x, std::int64_t H, std::int64_t W, const std::vector<float>& dy, const Check& check) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    everywhere(Device::cpu(), [&] {
      const Results all = compute(identity(C, x, H, W, dy));
      for (std::size_t i = 0; i + x.size() < all.dx.size(); ++i) EXPECT_EQ(all.dx[i], 0) << "of another channel";
      for (std::size_t i = 0; i + 9 < all.dweight.size(); ++i) EXPECT_TRUE(std::isfinite(all.dweight[i])) << "of another channel";
      check(Results{.y = all.y, .dweight = last(9, all.dweight), .dx = last(x.size(), all.dx), .place = all.place});
      return all.all();
    });
  }
}

TEST(Conv2dReluPool, TheFirstOfEqualsWinsIfItIsPositive) {
  const std::vector<float> x{7,  7, 0, 1, -1, -2, 0,     0,  -5, 2,  //
                             7,  7, 1, 1, -3, -4, 0,     0,  2,  2,  //
                             -1, 0, 3, 5, 0,  -1, -0.0F, -1, 6,  5,  //
                             0,  0, 5, 4, 9,  9,  -1,    -1, 6,  6};
  const std::vector<float> dy{1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
  for_identities(x, 4, 10, dy, [](const Results& actual) {
    EXPECT_THAT(actual.y, testing::ElementsAre(7, 1, 0, 0, 2, 0, 5, 9, 0, 6));
    EXPECT_THAT(actual.place, testing::ElementsAre(0, 1, 4, 4, 1, 4, 1, 2, 4, 0));
    EXPECT_THAT(actual.dx, testing::ElementsAre(1, 0, 0, 2, 0, 0, 0, 0, 0, 16,    //
                                                0, 0, 0, 0, 0, 0, 0, 0, 0, 0,     //
                                                0, 0, 0, 64, 0, 0, 0, 0, 512, 0,  //
                                                0, 0, 0, 0, 128, 0, 0, 0, 0, 0));
  });
}

TEST(Conv2dReluPool, AWindowOfWhichNothingIsPositiveTakesNoGradient) {
  const Sizes sizes{2, 3, 6, 7, 5};
  Data data = random_data(sizes);
  std::ranges::fill(data.bias, -1000.0F);
  std::ranges::fill(data.dy, kNan);
  data.dy[0] = kInfinity;
  everywhere(Device::cpu(), [&] {
    const Results actual = compute(data);
    EXPECT_THAT(actual.y, testing::Each(0.0F));
    EXPECT_THAT(actual.place, testing::Each(kNobody));
    for (const auto& gradient : {actual.dweight, actual.dbias, actual.dx}) EXPECT_THAT(gradient, testing::Each(0.0F));
    return actual.all();
  });
}

TEST(Conv2dReluPool, TheLastNanWinsAndItsGradientPasses) {
  // The NaN makes the 9 outputs around it NaN: all of the first window, two of each of the next, one of the last.
  const std::vector<float> x{1, 2, 3, 4, 5, kNan, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6};
  for_identities(x, 4, 4, {1, 2, 4, 8}, [](const Results& actual) {
    EXPECT_THAT(actual.y, testing::Each(testing::IsNan()));
    EXPECT_THAT(actual.place, testing::ElementsAre(3, 2, 1, 0));
    EXPECT_THAT(actual.dx, testing::ElementsAre(0, 0, 0, 0, 0, 1, 2, 0, 0, 4, 8, 0, 0, 0, 0, 0));
    // The winners met the NaN with these four weights, and nothing but numbers with the others.
    const std::vector<float>& dweight = actual.dweight;
    for (const std::size_t tap : {0U, 1U, 3U, 4U}) EXPECT_TRUE(std::isnan(dweight[tap])) << tap;
    EXPECT_EQ(dweight[2], 1 * 3 + 2 * 4 + 4 * 6 + 8 * 7);
    EXPECT_EQ(dweight[5], 1 * 6 + 2 * 7 + 4 * 1 + 8 * 2);
    EXPECT_EQ(dweight[6], 1 * 8 + 2 * 9 + 4 * 3 + 8 * 4);
    EXPECT_EQ(dweight[7], 1 * 9 + 2 * 1 + 4 * 4 + 8 * 5);
    EXPECT_EQ(dweight[8], 1 * 1 + 2 * 2 + 4 * 5 + 8 * 6);
  });
}

TEST(Conv2dReluPool, ABiasMayBeInfiniteOrNan) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    Data data = random_data({1, C, 5, 4, 3});
    data.bias = {kInfinity, -kInfinity, kNan};
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(data);
      EXPECT_THAT(std::vector<float>(actual.y.begin(), actual.y.begin() + 4), testing::Each(kInfinity));
      EXPECT_THAT(std::vector<float>(actual.y.begin() + 4, actual.y.begin() + 8), testing::Each(0.0F));
      EXPECT_THAT(std::vector<float>(actual.y.begin() + 8, actual.y.end()), testing::Each(testing::IsNan()));
      EXPECT_THAT(actual.place, testing::ElementsAre(0, 0, 0, 0, 4, 4, 4, 4, 3, 3, 3, 3));
      expect_gradients(actual, reference_backward(data, actual.place), kSum);
      return actual.all();
    });
  }
}

// ---- what infinities and NaN reach ---------------------------------------------------------------------------------------------

TEST(Conv2dReluPool, InfinitiesGoNoFurtherThanTheConvolutionTakesThem) {
  for (const std::int64_t C : kFewAndManyChannels) {
    const Data numbers = random_data({3, C, 6, 9, 5});
    Data pixels = numbers, weight = numbers;
    pixels.x[static_cast<std::size_t>(54 * C - 41)] = kInfinity;  // in the first image
    pixels.x[static_cast<std::size_t>(54 * C + 31)] = -kInfinity;
    weight.weight[static_cast<std::size_t>(9 * C + 4)] = -kInfinity;  // amid a window, so that it meets no padding
    for (const Data& data : {pixels, weight}) {
      SCOPED_TRACE(C);
      const Forward expected = reference_forward(data);
      everywhere(Device::cpu(), [&] {
        const Results actual = compute(data);
        expect_close(actual.y, expected.y, kSum);
        expect_close(at_places(data.sizes, expected.activations, actual.place), expected.y, kSum);
        return actual.y;
      });
    }
  }
}

TEST(Conv2dReluPool, AnInfinityThatOnlyALoserMeetsIsLeftOut) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    Data data{{1, C, 3, 3, 1}, std::vector<float>(static_cast<std::size_t>(9 * C), 1), {}, {1000}, {1}};
    data.x[8] = kInfinity;  // the last pixel, which the last of the window's outputs alone has within reach
    data.weight.assign(static_cast<std::size_t>(9 * C), -1);
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(data);
      EXPECT_THAT(actual.y, testing::ElementsAre(1000 - 4 * static_cast<float>(C)));
      EXPECT_THAT(actual.place, testing::ElementsAre(0));
      for (const auto& gradient : {actual.dweight, actual.dbias, actual.dx}) {
        EXPECT_THAT(gradient, testing::Each(testing::AnyOf(-1.0F, 0.0F, 1.0F)));
      }
      return actual.all();
    });
  }
}

/// The part of a batch's values that is one image's.
template <class T>
std::vector<T> image_of(const std::vector<T>& values, std::int64_t n, std::int64_t N) {
  const auto size = static_cast<std::ptrdiff_t>(values.size()) / N;
  return {values.begin() + n * size, values.begin() + (n + 1) * size};
}

TEST(Conv2dReluPool, NoImageReachesAnother) {
  for (const Sizes& sizes : {Sizes{3, 3, 7, 5, 5}, Sizes{35, 3, 6, 7, 5}, Sizes{18, 17, 5, 4, 70}, Sizes{17, 200, 6, 18, 2}}) {
    SCOPED_TRACE(sizes.string());
    const Data clean = random_data(sizes);
    Data spoilt = clean;
    for (std::vector<float>* values : {&spoilt.x, &spoilt.dy}) {
      const std::size_t image = values->size() / static_cast<std::size_t>(sizes.N);
      for (std::size_t e = 0; e < values->size(); ++e) {
        if (e / image % 2 == 1) (*values)[e] = e / image % 4 == 1 ? kNan : kInfinity;
      }
    }
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(spoilt), expected = compute(clean);
      for (std::int64_t n = 0; n < sizes.N; n += 2) {
        SCOPED_TRACE(n);
        EXPECT_EQ(image_of(actual.y, n, sizes.N), image_of(expected.y, n, sizes.N));
        EXPECT_EQ(image_of(actual.place, n, sizes.N), image_of(expected.place, n, sizes.N));
        EXPECT_EQ(image_of(actual.dx, n, sizes.N), image_of(expected.dx, n, sizes.N));
      }
      return actual.place;
    });
  }
}

TEST(Conv2dReluPool, AnInfiniteGradientReachesOnlyThePixelsOfItsWinner) {
  for (const auto& [C, K] : {std::pair{1, 1}, {3, 5}, {5, 3}, {16, 2}, {17, 4}, {33, 2}, {3, 70}}) {
    const Sizes sizes{2, C, 6, 7, K};
    SCOPED_TRACE(sizes.string());
    Data data = random_data(sizes);
    std::ranges::fill(data.bias, 1000.0F);  // so that there is a winner everywhere
    for (const std::int64_t target : ForcedInstructionSet::all()) {
      SCOPED_TRACE(hwy::TargetName(target));
      const ForcedInstructionSet forced(target);
      const Results clean = compute(data);
      for (std::int64_t e = K - 1; e<sizes.y().numel(); e += K> 5 ? 41 : 1) {
        SCOPED_TRACE(e);
        Data infinite = data;
        infinite.dy[static_cast<std::size_t>(e)] = kInfinity;
        const Results actual = compute(infinite);
        const std::int64_t channel = e / 9 % K, n = e / 9 / K, place = clean.place[static_cast<std::size_t>(e)];
        const std::int64_t row = e / 3 % 3 * 2 + place / 2, column = e % 3 * 2 + place % 2;
        for (std::int64_t i = 0; i < sizes.x().numel(); ++i) {
          const auto at = static_cast<std::size_t>(i);
          const bool near = std::abs(i / 7 % 6 - row) <= 1 && std::abs(i % 7 - column) <= 1 && i / 42 / C == n;
          if (near) {
            ASSERT_FALSE(std::isfinite(actual.dx[at])) << "element " << i;
          } else {
            ASSERT_EQ(actual.dx[at], clean.dx[at]) << "element " << i;
          }
        }
        for (std::int64_t i = 0; i < sizes.weight().numel(); ++i) {
          const auto at = static_cast<std::size_t>(i);
          if (i / 9 / C == channel) continue;
          ASSERT_EQ(actual.dweight[at], clean.dweight[at]) << "weight " << i;
        }
        for (std::int64_t k = 0; k < K; ++k) {
          const auto at = static_cast<std::size_t>(k);
          EXPECT_EQ(actual.dbias[at], k == channel ? kInfinity : clean.dbias[at]);
        }
      }
    }
  }
}

// ---- where gradients go --------------------------------------------------------------------------------------------------------

TEST(Conv2dReluPool, AddsToGradientsWhereAskedAndOverwritesElsewhere) {
  for (const Sizes& sizes : {Sizes{3, 5, 7, 5, 17}, Sizes{35, 3, 4, 4, 70}, Sizes{1, 65, 20, 30, 3}}) {
    SCOPED_TRACE(sizes.string());
    const Data data = whole_numbers(sizes);
    everywhere(Device::cpu(), [&] {
      const Results once = compute(data);
      for (const bool add_weight : {false, true}) {
        for (const bool add_bias : {false, true}) {
          Problem problem(data);
          problem.forward();
          if (add_weight) problem.dweight.tensor.copy_from(Tensor::full(sizes.weight(), 7));
          if (add_bias) problem.dbias.tensor.copy_from(Tensor::full({sizes.K}, 9));
          problem.backward({.dweight = add_weight, .dbias = add_bias});
          const Results actual = problem.results();
          Values dweight = widen(once.dweight), dbias = widen(once.dbias);
          for (double& value : dweight) value += add_weight ? 7 : 0;
          for (double& value : dbias) value += add_bias ? 9 : 0;
          expect_close(actual.dweight, dweight, kSameValue);
          expect_close(actual.dbias, dbias, kSameValue);
          EXPECT_EQ(actual.dx, once.dx);
        }
      }
      return once.all();
    });
  }
}

TEST(Conv2dReluPool, GivesTheSameGradientsWhereOthersAreNotWanted) {
  for (const Sizes& sizes : {Sizes{3, 5, 7, 5, 17}, Sizes{1, 65, 20, 30, 70}}) {
    SCOPED_TRACE(sizes.string());
    const Data data = random_data(sizes);
    everywhere(Device::cpu(), [&] {
      const Results all = compute(data);
      for (const auto& [want_bias, want_dx] : {std::pair{false, true}, {true, false}, {false, false}}) {
        Problem problem(data);
        problem.forward();
        if (!want_bias) problem.dbias = Fenced();
        if (!want_dx) problem.dx = Fenced();
        problem.backward({.dweight = false, .dbias = false});
        const Results some = problem.results();
        EXPECT_EQ(some.dweight, all.dweight);
        EXPECT_EQ(some.dbias, want_bias ? all.dbias : std::vector<float>());
        EXPECT_EQ(some.dx, want_dx ? all.dx : std::vector<float>());
      }
      return all.all();
    });
  }
}

TEST(Conv2dReluPool, SeesWeightsAndBiasesThatHaveChanged) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    const Sizes sizes{2, C, 6, 8, 5};
    Data data = random_data(sizes);
    Problem problem(data);
    const auto expect_fresh = [&] {
      problem.forward();
      EXPECT_EQ(problem.y.tensor.to_vector<float>(), compute(data).y);
    };
    expect_fresh();
    expect_fresh();  // nothing has changed
    data.weight.back() += 0.5F;
    problem.weight.tensor.copy_from(Tensor::from(data.weight, sizes.weight()));
    expect_fresh();
    data.bias.front() += 0.5F;
    problem.bias.tensor.copy_from(Tensor::from(data.bias, {sizes.K}));
    expect_fresh();
    problem.bias.tensor = Tensor();
    problem.forward();
    data.bias.assign(data.bias.size(), 0);
    EXPECT_EQ(problem.y.tensor.to_vector<float>(), compute(data).y);
  }
}

TEST(Conv2dReluPool, KeptForOneConvolutionServesAnother) {
  Conv2dReluPoolWeights kept;
  Stream stream;
  for (const Sizes& sizes : {Sizes{1, 3, 6, 8, 5}, Sizes{2, 20, 5, 4, 33}, Sizes{1, 3, 6, 8, 6}}) {
    SCOPED_TRACE(sizes.string());
    const Data data = random_data(sizes);
    Problem problem(data);
    Conv2dReluPool convolution = problem.operands();
    convolution.kept = &kept;
    conv2d_relu_pool({&convolution, 1}, problem.y.tensor, stream);
    EXPECT_EQ(problem.y.tensor.to_vector<float>(), compute(data).y);
  }
}

TEST(Conv2dReluPool, AnEnormousNumberOutOfReachChangesNothing) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    // Each output is four times the pixel above and to the left of it: the last pixel is nobody's.
    Data data{{1, C, 4, 4, 1}, std::vector<float>(static_cast<std::size_t>(16 * C), 1), {}, {0}, {1, 1, 1, 1}};
    data.weight.assign(static_cast<std::size_t>(9 * C), 0);
    for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c) data.weight[9 * c] = 4;
    for (const float enormous : {1e38F, std::numeric_limits<float>::max()}) {
      for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c) data.x[16 * c + 15] = enormous;
      everywhere(Device::cpu(), [&] {
        const Results actual = compute(data);
        EXPECT_THAT(actual.y, testing::Each(4 * static_cast<float>(C)));
        return actual.all();
      });
    }
  }
}

TEST(Conv2dReluPool, OfNoImagesHasZeroGradients) {
  for (const std::int64_t K : {1, 17}) {
    const Data data = random_data({0, 3, 7, 5, K});
    const Results nothing = compute(data);
    EXPECT_TRUE(nothing.y.empty());
    EXPECT_TRUE(nothing.dx.empty());
    EXPECT_THAT(nothing.dweight, testing::Each(0.0F));
    EXPECT_THAT(nothing.dbias, testing::Each(0.0F));
    Problem added(data);
    for (Fenced* fenced : {&added.dweight, &added.dbias}) fenced->tensor.copy_from(Tensor::full(fenced->tensor.shape(), 7));
    added.backward({.dweight = true, .dbias = true});
    EXPECT_THAT(added.results().dweight, testing::Each(7.0F));
    EXPECT_THAT(added.results().dbias, testing::Each(7.0F));
  }
}

// ---- misuse --------------------------------------------------------------------------------------------------------------------

/// Tensors that are not like `right`: of another dtype, another rank, and with each extent one larger.
std::vector<Tensor> unlike(const Tensor& right) {
  std::vector<Tensor> wrong{Tensor::zeros(right.shape(), right.dtype() == DType::f32 ? DType::u8 : DType::f32),
                            Tensor::zeros(right.shape(), DType::i32), Tensor::zeros({2, right.numel()}, right.dtype())};
  for (int i = 0; i < right.rank(); ++i)
    wrong.push_back(Tensor::zeros(right.shape().with(i, right.dim(i) + (right.rank() == 4 ? 2 : 1)), right.dtype()));
  return wrong;
}

TEST(Conv2dReluPool, RefusesTensorsThatDoNotFitTogether) {
  const Data data = random_data({2, 3, 7, 5, 4});
  const auto expect_refused = [&](Fenced Problem::*member, bool may_be_undefined, auto call, const std::string& op) {
    Problem problem(data);
    problem.forward();
    Tensor& tensor = (problem.*member).tensor;
    std::vector<Tensor> wrong = unlike(tensor);
    if (!may_be_undefined) wrong.emplace_back();
    for (const Tensor& other : wrong) {
      SCOPED_TRACE(other.defined() ? std::string(name_of(other.dtype())) + " " + other.shape().string() : "undefined");
      tensor = other;
      EXPECT_THAT([&] { call(problem); }, testing::ThrowsMessage<std::invalid_argument>(testing::StartsWith(op + ": ")));
    }
  };
  const auto forward = [](Problem& problem) { problem.forward(); };
  const auto backward = [](Problem& problem) { problem.backward(); };
  const std::string op = "conv2d_relu_pool", op_back = "conv2d_relu_pool_backward";
  for (const auto member : {&Problem::x, &Problem::weight, &Problem::y}) expect_refused(member, false, forward, op);
  for (const auto member : {&Problem::bias, &Problem::place}) expect_refused(member, true, forward, op);
  for (const auto member : {&Problem::x, &Problem::weight, &Problem::dy, &Problem::place, &Problem::dweight})
    expect_refused(member, false, backward, op_back);
  for (const auto member : {&Problem::dbias, &Problem::dx}) expect_refused(member, true, backward, op_back);
}

TEST(Conv2dReluPool, NamesWhatDoesNotFit) {
  Problem problem(random_data({2, 3, 4, 4, 4}));
  const auto with = [&](Fenced Problem::*member, const Tensor& other, auto call) {
    return [&problem, member, other, call] {
      const Tensor before = std::exchange((problem.*member).tensor, other);
      try {
        call(problem);
      } catch (...) {
        (problem.*member).tensor = before;
        throw;
      }
    };
  };
  const auto forward = [](Problem& p) { p.forward(); };
  const auto backward = [](Problem& p) { p.backward(); };
  const auto zeros = [](const Shape& shape) { return Tensor::zeros(shape); };
  EXPECT_THAT(with(&Problem::x, Tensor{}, forward), misuse("conv2d_relu_pool: x is undefined"));
  EXPECT_THAT(with(&Problem::x, zeros({3, 4, 4}), forward), misuse("conv2d_relu_pool: x must have 4 dimensions, got [3, 4, 4]"));
  EXPECT_THAT(with(&Problem::weight, zeros({4, 3, 3, 5}), forward),
              misuse("conv2d_relu_pool: weight must be [4, 3, 3, 3], got [4, 3, 3, 5]"));
  EXPECT_THAT(with(&Problem::bias, zeros({3}), forward), misuse("conv2d_relu_pool: bias must be [4], got [3]"));
  EXPECT_THAT(with(&Problem::y, zeros({2, 4, 2, 3}), forward),
              misuse("conv2d_relu_pool: y must be [2, 4, 2, 2], got [2, 4, 2, 3]"));
  EXPECT_THAT(with(&Problem::place, zeros({2, 4, 2, 2}), forward), misuse("conv2d_relu_pool: place must be u8, got f32"));
  EXPECT_THAT(with(&Problem::place, Tensor{}, backward), misuse("conv2d_relu_pool_backward: place is undefined"));
  EXPECT_THAT(with(&Problem::dx, zeros({2, 3, 4, 5}), backward),
              misuse("conv2d_relu_pool_backward: dx must be [2, 3, 4, 4], got [2, 3, 4, 5]"));
  EXPECT_THAT(with(&Problem::x, zeros({2, 3, 1, 4}), forward), misuse("at least 2 high and wide, got [2, 3, 1, 4]"));
  EXPECT_THAT(with(&Problem::x, zeros({2, 0, 4, 4}), forward), misuse("must have a channel and be at least 2 high and wide"));
  EXPECT_THAT(with(&Problem::x, zeros({2, 3, 4, 1}), backward), misuse("at least 2 high and wide, got [2, 3, 4, 1]"));
  EXPECT_THAT(with(&Problem::y, problem.x.tensor.view(0, {2, 4, 2, 2}), forward), misuse("conv2d_relu_pool: y and x share memory"));
  EXPECT_THAT(with(&Problem::dx, problem.x.tensor, backward), misuse("conv2d_relu_pool_backward: dx and x share memory"));
}

}  // namespace
}  // namespace gpucnn::kernels
