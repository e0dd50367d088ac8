// The cross-entropy with PyTorch's options, and the losses that go element by element, against float64.
#include "reference/cross_entropy.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <gpucnn/kernels/loss/cross_entropy.h>
#include <gpucnn/kernels/loss/elementwise_loss.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/elementwise_loss.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;
using reference::widen;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

const Shape kSizes[] = {{1, 1}, {3, 10}, {31, 33}, {128, 10}, {65, 257}, {3000, 3}, {2, 3001}};

std::vector<float> between_0_and_1(std::int64_t count, unsigned seed) {
  std::vector<float> values = random_floats(count, seed);
  for (float& value : values) value = std::abs(value);
  return values;
}

class LossKernels : public DeviceTest {
 protected:
  /// The loss, and the gradient behind it.
  template <class Loss>
  std::vector<float> results(const Shape& shape, const Loss& call) {
    Tensor loss = empty({}), gradient = empty(shape);
    call(loss, gradient);
    std::vector<float> all{loss.item()};
    for (const float value : gradient.to_vector<float>()) all.push_back(value);
    return all;
  }
  std::vector<float> run(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options) {
    return results(logits.shape(),
                   [&](Tensor& loss, Tensor& dlogits) { cross_entropy(logits, targets, options, loss, dlogits, stream()); });
  }
};
class CrossEntropyTest : public LossKernels {};
INSTANTIATE_TEST_SUITE_P(Devices, CrossEntropyTest, devices(), device_name);

TEST_P(CrossEntropyTest, AgreesWithTheReferenceForEverySizeAndOption) {
  int option = 0;
  for (const Shape& shape : kSizes) {
    const std::int64_t N = shape[0], C = shape[1];
    std::vector<float> logits = random_floats(N * C, 1);
    for (float& value : logits) value *= 10;
    const std::vector<float> weight = between_0_and_1(C, 2), probabilities = between_0_and_1(N * C, 3);
    for (const bool probable : {false, true}) {
      for (int i = 0; i < 4; ++i, ++option) {  // each size with some of the options, all of which have their turns
        SCOPED_TRACE(shape.string() + ", options " + std::to_string(option));
        reference::CrossEntropyTargets targets{.label_smoothing = i % 2 == 0 ? 0 : 0.3, .mean = option % 3 != 0};
        if (i >= 2) targets.weight = widen(weight);
        if (probable) targets.probabilities = widen(probabilities);
        if (!probable && option % 5 < 3) targets.ignore_index = option % 5 == 0 ? -1 : 0;
        for (std::int64_t n = 0; !probable && n < N; ++n) {
          const bool ignored = n % 3 == 1 && targets.ignore_index == -1;
          targets.labels.push_back(ignored ? -1 : static_cast<std::int32_t>((n * 7 + 1) % C));
        }
        if (targets.labels == std::vector<std::int32_t>{0}) targets.ignore_index = -100;  // something must count
        reference::CrossEntropy expected =
            reference::cross_entropy(static_cast<std::size_t>(N), static_cast<std::size_t>(C), widen(logits), targets);
        expected.dlogits.insert(expected.dlogits.begin(), expected.loss);
        const CrossEntropyOptions options{.weight = i >= 2 ? tensor(weight) : Tensor{},
                                          .ignore_index = targets.ignore_index,
                                          .reduction = targets.mean ? Reduction::mean : Reduction::sum,
                                          .label_smoothing = targets.label_smoothing};
        const Tensor held = probable ? tensor(probabilities, shape) : tensor(targets.labels, {N});
        everywhere(device(), [&] {
          const std::vector<float> result = run(tensor(logits, shape), held, options);
          expect_close(result, expected.dlogits, {1e-6, 1e-6, 1e-9});
          return result;
        });
      }
    }
  }
}

TEST_P(CrossEntropyTest, HasPyTorchsEdges) {
  const Tensor x = tensor<float>({1, 2, 3, 4}, {2, 2}), ignored = tensor<std::int32_t>({-100, -100}, {2});
  expect_close(run(x, ignored, {}), Values{kNan, 0, 0, 0, 0}, kSameValue);
  expect_close(run(x, ignored, {.reduction = Reduction::sum}), Values{0, 0, 0, 0, 0}, kSameValue);
  // Extreme logits stay finite, and an ignored row is not even looked at.
  const Tensor extreme = tensor<float>({3e38F, -3e38F, kNan, kInfinity}, {2, 2});
  expect_close(run(extreme, tensor<std::int32_t>({0, -100}, {2}), {.label_smoothing = 0}), Values{0, 0, 0, 0, 0}, kSameValue);
  // Without smoothing other classes' logits may be -infinity; with it they are read.
  const Tensor minus = tensor<float>({0, -kInfinity}, {1, 2}), first = tensor<std::int32_t>({0}, {1});
  expect_close(run(minus, first, {.reduction = Reduction::sum}), Values{0, 0, 0}, kSameValue);
  EXPECT_EQ(run(minus, first, {.label_smoothing = 0.5})[0], kInfinity);
  // The weights of the labels that count are 0.
  EXPECT_TRUE(std::isnan(run(x, tensor<std::int32_t>({0, 0}, {2}), {.weight = tensor<float>({0, 1}, {2})})[0]));
  EXPECT_TRUE(std::isnan(run(empty({0, 3}), empty({0}, DType::i32), {})[0]));
}

TEST_P(CrossEntropyTest, RefusesTensorsAndOptionsThatDoNotFit) {
  Tensor x = empty({2, 3}), labels = tensor<std::int32_t>({0, 1}, {2}), loss = empty({}), dx = empty({2, 3}), two = empty({2});
  const auto call = [&](const Tensor& targets, const CrossEntropyOptions& options, Tensor& gradient) {
    return [&, this] { cross_entropy(x, targets, options, loss, gradient, stream()); };
  };
  EXPECT_THAT(call(two, {}, dx), misuse("cross_entropy: targets must be [2, 3], got [2]"));
  EXPECT_THAT(call(labels.view(0, {1}), {}, dx), misuse("cross_entropy: targets must be [2], got [1]"));
  const CrossEntropyOptions weighted{.weight = two}, smooth{.label_smoothing = 1.5};
  EXPECT_THAT(call(labels, weighted, dx), misuse("cross_entropy: weight must be [3], got [2]"));
  EXPECT_THAT(call(labels, smooth, dx), misuse("cross_entropy: label_smoothing must be in [0, 1], got 1.5"));
  EXPECT_THAT(call(labels, {}, x), misuse("cross_entropy: dlogits and logits share memory"));
  const Tensor outside = tensor<std::int32_t>({0, 3}, {2});
  if (device().kind == Device::Kind::cpu) {
    EXPECT_THAT(call(outside, {}, dx), misuse("cross_entropy: label 3 at index 1 is outside [0, 3)"));
  } else {
    const std::vector<float> result = run(tensor(std::vector<float>(6, 1), {2, 3}), outside, {.label_smoothing = 0.1});
    EXPECT_TRUE(std::isnan(result[0]) && !std::isnan(result[1]) && std::isnan(result[4]));
  }
}

class ElementwiseLossTest : public LossKernels {};
INSTANTIATE_TEST_SUITE_P(Devices, ElementwiseLossTest, devices(), device_name);

TEST_P(ElementwiseLossTest, AgreesWithTheReferenceForEverySizeAndKind) {
  using Kind = ElementwiseLoss::Kind;
  for (const Shape& shape : kSizes) {
    const std::vector<float> targets = between_0_and_1(shape.numel(), 2), w = between_0_and_1(shape[1], 3),
                             p = between_0_and_1(shape[1], 4);
    std::vector<float> x = random_floats(shape.numel(), 1);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % 7 == 3 ? targets[i] : 4 * x[i];  // some are equal
    for (const ElementwiseLoss& function :
         {ElementwiseLoss{.kind = Kind::mse}, ElementwiseLoss{.kind = Kind::l1, .reduction = Reduction::sum},
          ElementwiseLoss{.kind = Kind::smooth_l1}, ElementwiseLoss{.kind = Kind::smooth_l1, .beta = 0.25},
          ElementwiseLoss{.kind = Kind::smooth_l1, .beta = 0}, ElementwiseLoss{.kind = Kind::bce_with_logits},
          ElementwiseLoss{.kind = Kind::bce_with_logits, .weight = tensor(w), .reduction = Reduction::sum},
          ElementwiseLoss{.kind = Kind::bce_with_logits, .weight = tensor(w), .pos_weight = tensor(p)}}) {
      SCOPED_TRACE(shape.string() + ", kind " + std::to_string(static_cast<int>(function.kind)));
      const double divisor = function.reduction == Reduction::mean ? static_cast<double>(shape.numel()) : 1;
      Values expected{0};
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto v = static_cast<double>(x[i]), t = static_cast<double>(targets[i]);
        const std::size_t c = i % w.size();
        const reference::ElementLoss cost =
            function.kind == Kind::mse  ? reference::mse(v, t)
            : function.kind == Kind::l1 ? reference::l1(v, t)
            : function.kind == Kind::smooth_l1
                ? reference::smooth_l1(v, t, function.beta)
                : reference::bce_with_logits(v, t, function.weight.defined() ? static_cast<double>(w[c]) : 1,
                                             function.pos_weight.defined() ? static_cast<double>(p[c]) : 1);
        expected[0] += cost.value / divisor;
        expected.push_back(cost.slope / divisor);
      }
      everywhere(device(), [&] {
        const std::vector<float> result = results(shape, [&](Tensor& loss, Tensor& dx) {
          elementwise_loss(unaligned(tensor(x, shape)), tensor(targets, shape), function, loss, dx, stream());
        });
        expect_close(result, expected, {1e-6, 1e-6, 1e-12});
        return result;
      });
    }
  }
}

TEST_P(ElementwiseLossTest, ExtremeLogitsStayFiniteAndNanShows) {
  const ElementwiseLoss bce{.kind = ElementwiseLoss::Kind::bce_with_logits, .reduction = Reduction::sum};
  const auto run = [&](const std::vector<float>& x, const std::vector<float>& t, const ElementwiseLoss& function) {
    return results({x.size()},
                   [&](Tensor& loss, Tensor& dx) { elementwise_loss(tensor(x), tensor(t), function, loss, dx, stream()); });
  };
  expect_close(run({1000, -1000, 1000, -1000}, {1, 0, 0, 1}, bce), Values{2000, 0, 0, 1, -1}, kSameValue);
  EXPECT_TRUE(std::isnan(run({kNan}, {1}, bce)[0]));
  EXPECT_TRUE(std::isnan(run({}, {}, {.kind = ElementwiseLoss::Kind::mse})[0]));
  EXPECT_EQ(run({}, {}, bce)[0], 0);
}

TEST_P(ElementwiseLossTest, RefusesTensorsAndOptionsThatDoNotFit) {
  Tensor x = empty({2, 3}), t = empty({2, 3}), loss = empty({}), dx = empty({2, 3}), two = empty({2}), flat = empty({6});
  const auto call = [&](const Tensor& targets, const ElementwiseLoss& function, Tensor& gradient) {
    return [&, this] { elementwise_loss(x, targets, function, loss, gradient, stream()); };
  };
  const ElementwiseLoss mse{.kind = ElementwiseLoss::Kind::mse}, smooth{.kind = ElementwiseLoss::Kind::smooth_l1, .beta = -1},
      weighted{.kind = ElementwiseLoss::Kind::bce_with_logits, .weight = two},
      positive{.kind = ElementwiseLoss::Kind::bce_with_logits, .pos_weight = two};
  EXPECT_THAT(call(flat, mse, dx), misuse("elementwise_loss: targets must be [2, 3], got [6]"));
  EXPECT_THAT(call(t, smooth, dx), misuse("elementwise_loss: beta must be >= 0, got -1"));
  EXPECT_THAT(call(t, weighted, dx), misuse("elementwise_loss: weight must be [3], got [2]"));
  EXPECT_THAT(call(t, positive, dx), misuse("elementwise_loss: pos_weight must be [3], got [2]"));
  EXPECT_THAT(call(t, mse, t), misuse("elementwise_loss: dx and targets share memory"));
  EXPECT_THAT(call(t, mse, x), misuse("elementwise_loss: dx and x share memory"));
}

}  // namespace
}  // namespace gpucnn::kernels
