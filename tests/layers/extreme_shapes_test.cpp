// Every public function that computes a shape, with extents and options at the ends of their types. Each answers or throws; under
// UndefinedBehaviorSanitizer an overflow on the way ends the test.
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/copy/flatten.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool.h>
#include <gpucnn/kernels/image/image_batch.h>
#include <gpucnn/kernels/linear/linear.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/conv2d.h"

namespace gpucnn {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr std::array<std::int64_t, 9> kExtents{0, 1, 2, 7, kMaxInt, std::int64_t{1} << 40, std::int64_t{1} << 61, kMax - 1, kMax};
constexpr std::array<int, 5> kOptions{std::numeric_limits<int>::min(), 0, 1, 3, kMaxInt};

/// How many calls gave a shape; the others threw `std::invalid_argument`. Anything else is passed on, and fails the test.
template <class Call>
int answered(const Call& call) {
  try {
    call();
    return 1;
  } catch (const std::invalid_argument&) {
    return 0;
  }
}

/// Calls `run` with each shape of rank 4 that Shape itself allows.
template <class Run>
void for_images(const Run& run) {
  for (const std::int64_t n : {std::int64_t{0}, std::int64_t{2}, kMax}) {
    for (const std::int64_t c : kExtents) {
      for (const std::int64_t h : kExtents) {
        for (const std::int64_t w : kExtents) {
          try {
            run(Shape{n, c, h, w});
          } catch (const std::invalid_argument&) {
            continue;
          }
        }
      }
    }
  }
}

TEST(ExtremeShapes, OfConvolutions) {
  int shapes = 0;
  for (const int kernel : kOptions) {
    for (const int stride : kOptions) {
      for (const int padding : kOptions) {
        for (const int dilation : kOptions) {
          for (const int groups : kOptions) {
            const Conv2dOptions options{{kernel, 1}, {1, stride}, {padding, padding}, {dilation, dilation}, groups};
            for (const std::int64_t extent : kExtents) {
              for (const std::int64_t width : {std::int64_t{1}, kMax}) {
                shapes += answered([&] { kernels::conv2d_shape(Shape{0, extent, extent, width}, extent, kMax, options); });
                shapes += answered([&] { kernels::conv2d_shape(Shape{1, 1, extent, width}, 1, extent, options); });
              }
              shapes += answered([&] { kernels::conv2d_weight_shape(extent, kMax, options); });
            }
          }
        }
      }
    }
  }
  EXPECT_GT(shapes, 0);
}

TEST(ExtremeShapes, OfPoolings) {
  int shapes = 0;
  for (const int kernel : kOptions) {
    for (const int stride : kOptions) {
      for (const int padding : kOptions) {
        for_images([&](const Shape& x) {
          shapes += answered([&] { kernels::max_pool2d_shape(x, {{kernel, 1}, {stride, 1}, {padding, 0}}); });
          shapes += answered([&] { kernels::max_pool2d_shape(x, {{1, kernel}, {1, stride}, {0, padding}}); });
        });
      }
    }
  }
  EXPECT_GT(shapes, 0);
}

TEST(ExtremeShapes, OfJoinedLayers) {
  int shapes = 0;
  for_images([&](const Shape& x) {
    for (const std::int64_t first : kExtents) {
      const std::array<std::int64_t, 2> channels{first, 3};
      shapes += answered([&] { kernels::conv2d_relu_pool_fits(Shape{x[1], x[2], x[3]}, channels); });
    }
    if (x[0] == 0) shapes += answered([&] { kernels::conv2d_relu_pool_memory(x, Device::cpu()); });
  });
  EXPECT_GT(shapes, 0);
}

TEST(ExtremeShapes, OfLayersWithoutWindows) {
  int shapes = 0;
  const Flatten flatten;
  const Linear linear(7, 3);
  const Dropout dropout(0.5);
  const ReLU relu;
  for_images([&](const Shape& x) {
    for (const Module* layer : std::initializer_list<const Module*>{&flatten, &linear, &dropout, &relu}) {
      shapes += answered([&] { layer->output_shape(x); });
      shapes += answered([&] { layer->output_shape(Shape{x[0], x[1]}); });
      shapes += answered([&] { layer->output_shape(Shape{x[0], x[1], x[2], x[3], 3, 0}); });
    }
    shapes += answered([&] { kernels::linear_shape(Shape{x[0], x[1]}, x[1], x[2]); });
  });
  EXPECT_GT(shapes, 0);
}

TEST(ExtremeShapes, OfPartsOfTensors) {
  const Tensor none = Tensor::empty({0, std::int64_t{1} << 40, std::int64_t{1} << 40});
  EXPECT_EQ(none.narrow(0, 0).shape(), none.shape());
  int parts = 0;
  for (const std::int64_t first : kExtents) {
    for (const std::int64_t count : kExtents) {
      for (const std::int64_t sign : {-1, 1}) {
        parts += answered([&] { none.narrow(sign * first, count); });
        parts += answered([&] { Tensor::empty({5, 2}).narrow(first, sign * count); });
        parts += answered([&] { Tensor::empty({5, 2}).view(sign * first, {count}); });
      }
    }
  }
  EXPECT_GT(parts, 0);
}

TEST(ExtremeShapes, AreNamedInOneClearSentence) {
  constexpr std::int64_t kLong = std::int64_t{1} << 40;
  EXPECT_THAT(
      [] {
        Conv2d(1, 1, {.kernel_size = 3, .dilation = 1 << 30}).output_shape({1, 1, 8, 8});
      },
      misuse("a window of 2147483649x2147483649 does not fit [1, 1, 8, 8] with padding 0x0"));
  EXPECT_THAT([] { Flatten().output_shape({0, kLong, kLong}); }, misuse("more elements than 63 bits count"));
  EXPECT_THAT([] { Flatten().output_shape({2, kLong, kLong, 0, kLong}); }, testing::Not(misuse("")));
  EXPECT_THAT(
      [] {
        kernels::conv2d_shape({1, 1, 8, 8}, 1, 1, {.kernel_size = 3, .stride = 0});
      },
      misuse("stride must be at least 1"));
  EXPECT_THAT([] { Conv2d(1, 1, {.kernel_size = 1, .padding = 1}).output_shape({1, 1, kMax, 1}); }, misuse("9223372036854775809"));
}

TEST(ExtremeShapes, OfImagesWithoutAPixel) {
  Conv2d conv(1, 1, {.kernel_size = 1, .padding = 10});
  EXPECT_THAT([&] { conv.predict(Tensor::zeros({1, 1, 0, 2})); }, misuse("expects images of at least one pixel, got [1, 1, 0, 2]"));
  EXPECT_THAT([&] { conv(Tensor::zeros({1, 1, 2, 0})); }, misuse("expects images of at least one pixel"));
  EXPECT_THAT([&] { conv(Tensor::zeros({0, 1, 0, 0})); }, misuse("expects images of at least one pixel"));
  EXPECT_EQ(conv.predict(Tensor::zeros({0, 1, 2, 2})).shape(), (Shape{0, 1, 22, 22}));
  EXPECT_THAT([] { kernels::LinearPlan({2, 0}, 3, true, Device::cpu()); }, misuse("must be at least 1, got 0 and 3"));
  EXPECT_THAT([] { kernels::LinearPlan({2, 3}, 0, true, Device::cpu()); }, misuse("must be at least 1, got 3 and 0"));
}

TEST(ExtremeShapes, AreCheckedBeforeAnyValueIsDrawn) {
  const std::uint64_t before = allocator_stats(Device::cpu()).system_allocations;
  Sequential model{{"wide", Sequential{Conv2d(1, 1, {.kernel_size = {1, kMaxInt}})}}};
  const Tensor x = Tensor::zeros({1, 1, 4, 4});
  EXPECT_THAT([&] { model.predict(x); }, misuse("wide.0 Conv2d: a window of 1x2147483647 does not fit [1, 1, 4, 4]"));
  EXPECT_THAT([&] { model(x); }, misuse("wide.0 Conv2d: a window of"));
  EXPECT_THAT([&] { model.summary(x.shape()); }, misuse("wide.0 Conv2d: a window of"));
  EXPECT_LE(allocator_stats(Device::cpu()).system_allocations, before + 1) << "more than x was allocated";
}

/// A convolution of few outputs with options at the ends of their types, against the reference: y and all gradients.
void expect_convolved(const Shape& x, int K, const Conv2dOptions& options) {
  SCOPED_TRACE(x.string());
  const Tensor images = random_tensor(x, 1);
  Conv2d conv(static_cast<int>(x[1]), K, options);
  const std::vector<Parameter> parameters = conv.parameters();
  const Tensor y = conv(images);
  const Tensor dy = random_tensor(y.shape(), 2);
  const Tensor dx = conv.backward(dy);
  const reference::Conv2d c{.N = x[0],
                            .C = x[1],
                            .H = x[2],
                            .W = x[3],
                            .K = K,
                            .kernel_size = options.kernel_size,
                            .stride = options.stride,
                            .padding = options.padding,
                            .dilation = options.dilation};
  const reference::Values weight = reference::widen(values(parameters[0].value()));
  const reference::Values bias = options.bias ? reference::widen(values(parameters[1].value())) : reference::Values{};
  const reference::Values in = reference::widen(values(images));
  expect_close(values(y), reference::conv2d(c, in, weight, bias), kSum);
  const reference::Conv2dGradients expected = reference::conv2d_backward(c, in, weight, reference::widen(values(dy)));
  expect_close(values(dx), expected.dx, kSum);
  expect_close(values(parameters[0].grad()), expected.dweight, kSum);
  if (options.bias) expect_close(values(parameters[1].grad()), expected.dbias, kSum);
}

TEST(ExtremeShapes, ThatAConvolutionAcceptsAreConvolved) {
  expect_convolved({2, 3, 4, 1}, 2, {.kernel_size = {2, 1}, .padding = {1 << 30, 0}, .dilation = {2147483646, 1}});
  expect_convolved({1, 1, 3, 4}, 2, {.kernel_size = {1, 3}, .stride = {1, 1 << 29}, .padding = {0, 1 << 30}});
  expect_convolved({1, 2, 4, 4}, 2, {.kernel_size = 1, .stride = kMaxInt});
  expect_convolved({1, 2, 4, 4}, 2, {.kernel_size = 2, .stride = kMaxInt, .padding = 1});
  expect_convolved({2, 2, 4, 4}, 3, {.kernel_size = 2, .stride = 1000, .padding = 5000, .bias = false});
  expect_convolved({1, 2, 3, 3}, 1, {.kernel_size = 3, .stride = 40000, .padding = 50000, .dilation = 50000});
}

TEST(ExtremeShapes, PaddingFarFromTheImageTakesNoMemory) {
  Conv2d conv(1, 1, {.kernel_size = 3, .stride = 40000, .padding = 50000, .dilation = 50000});
  std::vector<Parameter> parameters = conv.parameters();
  std::vector<float> weight = values(parameters[0].value());
  weight[4] = std::numeric_limits<float>::quiet_NaN();
  parameters[0].set_value(Tensor::from(weight, parameters[0].shape()));
  const std::uint64_t before = allocator_stats(Device::cpu()).in_use + allocator_stats(Device::cpu()).kept;
  for (const float value : values(conv.predict(random_tensor({1, 1, 3, 3}, 1)))) EXPECT_TRUE(std::isnan(value));
  const std::uint64_t after = allocator_stats(Device::cpu()).in_use + allocator_stats(Device::cpu()).kept;
  EXPECT_LT(after - before, std::uint64_t{1} << 20) << "bytes";
}

TEST(ExtremeShapes, OfPlacesInAnEpoch) {
  Stream stream(Device::cpu());
  const Tensor images = Tensor::zeros({2, 1, 2, 2});
  Tensor batch = Tensor::empty({2, 1, 2, 2}), labels = Tensor::empty({2}, DType::i32);
  const std::vector<std::int64_t> indices{1, 0};
  kernels::image_batch(images, indices, {.crop_padding = 1, .flip = true, .first = kMax}, batch, stream);
  const Tensor order = Tensor::from(indices, {2});
  EXPECT_THAT(
      [&] { kernels::ordered_batch(images, Tensor::zeros({2}, DType::i32), order, {.first = kMax}, batch, labels, stream); },
      misuse("are not in an order of 2"));
}

}  // namespace
}  // namespace gpucnn
