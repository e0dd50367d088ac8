#include <cstring>
#include <memory>
#include <optional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/kernels/image/image_batch.h>

#include "conv2d_relu_pool_problem.h"
#include "device_test.h"
#include "misuse.h"

// A convolution that gathers its batch against ordered_batch and the convolution after it.
namespace gpucnn::kernels {
namespace {

using Indices = std::vector<std::int64_t>;

constexpr Precision kPrecisions[] = {Precision::fp32, Precision::tf32, Precision::bf16};

std::vector<std::uint8_t> bits_of(const Tensor& tensor) {
  const Tensor here = tensor.to(Device::cpu());
  std::vector<std::uint8_t> bits(here.nbytes());
  std::memcpy(bits.data(), here.bytes(), bits.size());
  return bits;
}

enum class Flip { none, random, alternating };

/// One problem: `stored` images, and an order in which some entries may be outside.
struct Gather {
  Sizes sizes;
  Precision precision = Precision::fp32;
  DType dtype = DType::u8;  // of the images
  std::int64_t stored = 5;
  Indices order;
  std::int64_t first = 0;
  int crop_padding = 0;
  Flip flip = Flip::none;
  bool normalize = false, labelled = true, argmax = true, flat = false;
  std::int64_t at = 0;  // elements behind a boundary where tensors begin

  std::string string() const {
    return sizes.string() + " in " + std::string(name_of(precision)) + ", of " + std::to_string(stored) + " images of " +
           std::string(name_of(dtype)) + " from position " + std::to_string(first) + ", padding " + std::to_string(crop_padding) +
           ", flip " + std::to_string(static_cast<int>(flip)) + (normalize ? ", normalised" : "") + (labelled ? ", labelled" : "") +
           (argmax ? ", with argmax" : "") + (flat ? ", flat" : "") + ", from element " + std::to_string(at);
  }
};

/// What goes in, and a function for each way.
class GatherProblem {
 public:
  GatherProblem(const Gather& gather, Device device)
      : gather_(gather),
        device_(device),
        weight_(reference::random_floats(sizes().weight().numel(), 2), sizes().weight(), gather.at, device),
        bias_(sizes().bias ? Fenced(reference::random_floats(sizes().K, 3), {sizes().K}, gather.at, device) : Fenced()) {
    const Shape shape = sizes().x().with(0, gather.stored);
    if (gather.dtype == DType::u8) {
      std::mt19937 random(7);
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(shape.numel()));
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random() >> 24);
      images_ = Tensor::from(bytes, shape, device);
    } else {
      images_ = Tensor::from(reference::random_floats(shape.numel(), 1), shape, device);
    }
    std::vector<std::int32_t> labels;
    for (std::int64_t n = 0; n < gather.stored; ++n) labels.push_back(static_cast<std::int32_t>(100 + n));
    if (gather.labelled) labels_ = Tensor::from(labels, {gather.stored}, device);
    order_ = Tensor::from(gather.order, Shape{gather.order.size()}, device);
    transform.crop_padding = gather.crop_padding;
    transform.flip = gather.flip == Flip::random;
    transform.alternating_flip = gather.flip == Flip::alternating;
    transform.seed = 5;
    transform.epoch = 3;
    transform.first = gather.first;
    if (!gather.normalize) return;
    const auto C = static_cast<std::size_t>(sizes().C);
    transform.mean = std::span(kMeans).first(C);
    transform.std = std::span(kStds).first(C);
  }

  /// What is written: x, the labels, y and argmax.
  struct Written {
    Fenced x, labels, y, argmax;

    std::vector<std::vector<std::uint8_t>> bits() const {
      std::vector<std::vector<std::uint8_t>> all;
      for (const Fenced* fenced : {&x, &labels, &y, &argmax}) {
        EXPECT_TRUE(fenced->holds());
        if (fenced->tensor.defined()) all.push_back(bits_of(fenced->tensor));
      }
      return all;
    }
  };

  Written memory() const {
    const DType dtype = activation_dtype(gather_.precision, device_);
    const Shape y = sizes().y();
    return {Fenced(sizes().x(), gather_.at, dtype, device_),
            gather_.labelled ? Fenced({sizes().N}, gather_.at, DType::i32, device_) : Fenced(),
            Fenced(gather_.flat ? Shape{y[0], y.numel() / y[0]} : y, gather_.at, dtype, device_),
            gather_.argmax ? Fenced(y, gather_.at, DType::u8, device_) : Fenced()};
  }

  OrderedBatch batch(const Written& to) const { return {images_, labels_, order_, transform, to.x.tensor, to.labels.tensor}; }

  Conv2dReluPool convolution(const Written& to) const {
    return {.weight = weight_.tensor,
            .bias = bias_.tensor,
            .x = to.x.tensor,
            .argmax = to.argmax.tensor,
            .precision = gather_.precision};
  }

  void in_one(Written& to, Stream& stream) const {
    const OrderedBatch gathers = batch(to);
    ASSERT_TRUE(conv2d_relu_pool_gathers(gathers, device_));
    Conv2dReluPool conv = convolution(to);
    conv.gathers = &gathers;
    conv2d_relu_pool({&conv, 1}, to.y.tensor, stream);
  }

  void in_turn(Written& to, Stream& stream) const {
    ordered_batch(batch(to), stream);
    Conv2dReluPool conv = convolution(to);
    conv2d_relu_pool({&conv, 1}, to.y.tensor, stream);
  }

  ImageTransform transform;

 private:
  static constexpr float kMeans[] = {0.49F, 0.48F, 0.45F, 0.5F}, kStds[] = {0.25F, 0.24F, 0.26F, 0.3F};
  const Sizes& sizes() const { return gather_.sizes; }

  Gather gather_;
  Device device_;
  Fenced weight_, bias_;
  Tensor images_, labels_, order_;
};

class Conv2dReluPoolGathersTest : public DeviceTest {
 protected:
  void expect_equal_bits(const Gather& gather) {
    SCOPED_TRACE(gather.string());
    const GatherProblem problem(gather, device());
    auto expected = problem.memory(), actual = problem.memory();
    problem.in_turn(expected, stream());
    problem.in_one(actual, stream());
    EXPECT_EQ(actual.bits(), expected.bits());
  }

  void expect_equal_bits_of_many(Precision precision) {
    std::mt19937 random(18);
    const auto draw = [&](int first, int last) { return std::uniform_int_distribution(first, last)(random); };
    constexpr std::int64_t kMaxProducts = 250'000;
    for (int drawn = 0; drawn < 120 && !HasFailure();) {
      Gather gather;
      gather.sizes = {draw(1, 5), draw(1, 4), draw(2, 26), draw(2, 26), draw(1, 40), draw(0, 3) > 0};
      const Sizes& sizes = gather.sizes;
      if (sizes.N * sizes.C * sizes.H * sizes.W * sizes.K > kMaxProducts) continue;
      gather.precision = precision;
      gather.dtype = draw(0, 1) == 0 ? DType::u8 : DType::f32;
      gather.stored = draw(1, 12);
      gather.first = draw(0, 9);
      const std::int64_t entries = gather.first + sizes.N + draw(0, 3);
      for (std::int64_t e = 0; e < entries; ++e) gather.order.push_back(draw(-2, static_cast<int>(gather.stored) + 1));
      gather.crop_padding = draw(0, 4);
      gather.flip = static_cast<Flip>(draw(0, 2));
      gather.normalize = draw(0, 1) == 0;
      gather.labelled = draw(0, 3) > 0;
      gather.argmax = draw(0, 3) > 0;
      gather.flat = draw(0, 3) == 0;
      gather.at = draw(0, 1);
      expect_equal_bits(gather);
      ++drawn;
    }
  }

  /// Whose images lie in any order.
  static Gather cropped(const Sizes& sizes, Precision precision) {
    return {.sizes = sizes,
            .precision = precision,
            .stored = 7,
            .order = {4, 1, 0, 3, 2, 5, 6, 1},
            .first = 2,
            .crop_padding = 2,
            .flip = Flip::random,
            .normalize = true};
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dReluPoolGathersTest, testing::Values(Device::cuda()), device_name);

TEST_P(Conv2dReluPoolGathersTest, InFp32GivesTheBitsOfOrderedBatchAndTheConvolution) { expect_equal_bits_of_many(Precision::fp32); }

TEST_P(Conv2dReluPoolGathersTest, InTf32GivesTheBitsOfOrderedBatchAndTheConvolution) { expect_equal_bits_of_many(Precision::tf32); }

TEST_P(Conv2dReluPoolGathersTest, InBf16GivesTheBitsOfOrderedBatchAndTheConvolution) { expect_equal_bits_of_many(Precision::bf16); }

// Short, for ThreadSanitizer: several tiles down and across, with a last row and column that no window has, and two groups of
// outputs.
TEST_P(Conv2dReluPoolGathersTest, WritesEachPixelOnce) {
  for (const Precision precision : kPrecisions) {
    expect_equal_bits(cropped({2, 3, 33, 17, 36}, precision));
    expect_equal_bits(cropped({3, 1, 17, 33, 5}, precision));
    expect_equal_bits(cropped({1, 4, 19, 18, 16}, precision));
  }
}

TEST_P(Conv2dReluPoolGathersTest, WritesAlsoBeforeNoOutputs) {
  const GatherProblem problem(cropped({3, 3, 9, 8, 0}, Precision::fp32), device());
  auto expected = problem.memory(), actual = problem.memory();
  ordered_batch(problem.batch(expected), stream());
  problem.in_one(actual, stream());
  EXPECT_EQ(actual.bits(), expected.bits());
}

TEST_P(Conv2dReluPoolGathersTest, InACapturedStepTakesItsPositionAndEpochFromTheStepState) {
  for (const Precision precision : kPrecisions) {
    GatherProblem problem(cropped({3, 3, 18, 10, 20}, precision), device());
    auto expected = problem.memory(), actual = problem.memory();
    Tensor state = Tensor::zeros({std::int64_t{sizeof(StepState)}}, DType::u8, device());
    std::optional<gpu::Capture> capture(std::in_place, device(), reinterpret_cast<const StepState*>(state.bytes()));
    problem.in_one(actual, stream());
    const std::unique_ptr<gpu::Graph> step = capture->finish();
    capture.reset();
    for (const StepState& now : {StepState{.epoch = 4, .first = 1}, StepState{.epoch = 1, .first = 5}, StepState{}}) {
      SCOPED_TRACE(std::string(name_of(precision)) + " at " + std::to_string(now.first));
      std::vector<std::uint8_t> bytes(sizeof now);
      std::memcpy(bytes.data(), &now, sizeof now);
      state.copy_from(Tensor::from(bytes, state.shape()));
      step->launch();
      problem.transform.first = now.first;
      problem.transform.epoch = now.epoch;
      problem.in_turn(expected, stream());
      EXPECT_EQ(actual.bits(), expected.bits());
    }
  }
}

TEST_P(Conv2dReluPoolGathersTest, InAChainGathersForTheFirst) {
  const Sizes behind{3, 5, 8, 9, 7};
  const GatherProblem problem(cropped({3, 3, 16, 18, 5}, Precision::fp32), device());
  auto expected = problem.memory(), actual = problem.memory();
  problem.in_turn(expected, stream());
  Problem alone(random_data(behind), 0, device()), last(random_data(behind), 0, device());
  alone.x.tensor = expected.y.tensor;
  alone.forward();

  const OrderedBatch gathers = problem.batch(actual);
  Conv2dReluPool chain[] = {problem.convolution(actual), last.operands()};
  chain[0].gathers = &gathers;
  chain[1].x = actual.y.tensor;
  conv2d_relu_pool(chain, last.y.tensor, stream());
  EXPECT_EQ(actual.bits(), expected.bits());
  EXPECT_EQ(last.y.tensor.to_vector<float>(), alone.y.tensor.to_vector<float>());
  chain[1].gathers = &gathers;
  EXPECT_THAT([&] { conv2d_relu_pool(chain, last.y.tensor, stream()); },
              misuse("conv2d_relu_pool: only the first convolution can gather its batch"));
}

TEST_P(Conv2dReluPoolGathersTest, SaysWhichBatchesItCanGather) {
  const GatherProblem problem(cropped({3, 3, 16, 18, 5}, Precision::fp32), device());
  const auto memory = problem.memory();
  const OrderedBatch batch = problem.batch(memory);
  EXPECT_TRUE(conv2d_relu_pool_gathers(batch, device()));
  EXPECT_FALSE(conv2d_relu_pool_gathers(batch, Device::cpu()));
  EXPECT_FALSE(conv2d_relu_pool_gathers({}, device()));
  const auto with = [&](auto change) {
    OrderedBatch other = batch;
    change(other);
    return conv2d_relu_pool_gathers(other, device());
  };
  EXPECT_TRUE(with([](OrderedBatch& b) { b.labels = b.batch_labels = {}; }));
  EXPECT_TRUE(with([&](OrderedBatch& b) { b.images = empty({7, 4, 16, 18}); }));
  EXPECT_FALSE(with([&](OrderedBatch& b) { b.images = empty({7, 5, 16, 18}); }));
  EXPECT_FALSE(with([](OrderedBatch& b) { b.transform.random_resized_crop = RandomResizedCropOptions{.size = 5}; }));
  EXPECT_FALSE(with([](OrderedBatch& b) { b.transform.color_jitter.hue = 0.1; }));
  EXPECT_FALSE(with([](OrderedBatch& b) { b.transform.cutout = 1; }));
  EXPECT_FALSE(with([](OrderedBatch& b) { b.transform.crop_padding = 1 << 30; }));
}

TEST_P(Conv2dReluPoolGathersTest, RefusesWhatItCannotGatherAndWhatDoesNotFitTogether) {
  const GatherProblem problem(cropped({3, 3, 16, 18, 5}, Precision::fp32), device());
  auto memory = problem.memory();
  const auto with = [&](auto change) {
    return [&, change] {
      OrderedBatch gathers = problem.batch(memory);
      Conv2dReluPool conv = problem.convolution(memory);
      conv.gathers = &gathers;
      change(gathers, conv);
      conv2d_relu_pool({&conv, 1}, memory.y.tensor, stream());
    };
  };
  EXPECT_THAT(
      with([](OrderedBatch& batch, Conv2dReluPool&) { batch.transform.cutout = 2; }),
      misuse("conv2d_relu_pool: gathers on a GPU, up to 4 channels, cropped, mirrored and normalised at most; got images of "
             "[7, 3, 16, 18]"));
  EXPECT_THAT(with([](OrderedBatch& batch, Conv2dReluPool&) { batch.transform.first = 6; }),
              misuse("conv2d_relu_pool: positions 6 to 8 are not in an order of 8"));
  EXPECT_THAT(with([](OrderedBatch& batch, Conv2dReluPool&) { batch.images = {}; }),
              misuse("conv2d_relu_pool: images is undefined"));
  EXPECT_THAT(with([&](OrderedBatch& batch, Conv2dReluPool&) { batch.batch_labels = empty({2}, DType::i32); }),
              misuse("conv2d_relu_pool: batch must be [2, 3, 16, 18], got [3, 3, 16, 18]"));
  EXPECT_THAT(with([&](OrderedBatch&, Conv2dReluPool& conv) {
                conv.x = empty({3, 3, 16, 18});
              }),
              misuse("conv2d_relu_pool: x must be the batch to gather, got another tensor of [3, 3, 16, 18]"));
}

TEST(Conv2dReluPoolGathers, OnTheCpuRefuses) {
  Stream stream;
  Problem problem(random_data({2, 3, 4, 4, 4}));
  const OrderedBatch gathers{.images = Tensor::zeros({2, 3, 4, 4}),
                             .labels = {},
                             .order = Tensor::from(Indices{0, 1}, {2}),
                             .transform = {},
                             .batch = problem.x.tensor,
                             .batch_labels = {}};
  Conv2dReluPool conv = problem.operands();
  conv.gathers = &gathers;
  EXPECT_THAT([&] { conv2d_relu_pool({&conv, 1}, problem.y.tensor, stream); }, misuse("conv2d_relu_pool: gathers on a GPU"));
}

}  // namespace
}  // namespace gpucnn::kernels
