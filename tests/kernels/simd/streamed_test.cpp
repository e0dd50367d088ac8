#include <gpucnn/kernels/simd/streamed.h>

#include <cstring>
#include <functional>
#include <utility>

#include <gtest/gtest.h>

#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/kernels/norm/batch_norm2d.h>
#include <gpucnn/kernels/pool/avg_pool2d.h>
#include <gpucnn/kernels/pool/max_pool2d.h>

#include "everywhere.h"

// Results that are written past the caches, as those of large batches are, have the bits of those of small ones.
namespace gpucnn::kernels {
namespace {

/// Makes a tensor of x's shape from images x and other images of that shape.
using Operation = std::function<void(const Tensor& x, const Tensor& other, Tensor& to)>;

constexpr std::int64_t kImages = 130, kHalf = kImages / 2;

bool streams(const Tensor& y) { return cpu::is_streamed(y.data<float>(), y.numel(), y.dim(1)); }

/// Expects of all images at once what the halves of the batch give, with every instruction set.
void expect_bits_of_halves(const Operation& operation) {
  static const Tensor x = Tensor::randn({kImages, 16, 64, 64}, 1), other = Tensor::randn(x.shape(), 2);
  Tensor whole = Tensor::zeros(x.shape()), half = Tensor::zeros(x.shape().with(0, kHalf));
  ASSERT_TRUE(streams(whole));
  ASSERT_FALSE(streams(half));
  for (const std::int64_t target : ForcedInstructionSet::all()) {
    SCOPED_TRACE(hwy::TargetName(target));
    const ForcedInstructionSet forced(target);
    whole.copy_from(x);
    operation(x, other, whole);
    for (const std::int64_t first : {std::int64_t{0}, kHalf}) {
      operation(x.narrow(first, kHalf), other.narrow(first, kHalf), half);
      const Tensor actual = whole.narrow(first, kHalf);
      EXPECT_EQ(std::memcmp(actual.data<float>(), std::as_const(half).data<float>(), half.nbytes()), 0);
    }
  }
}

Stream cpu_stream() { return Stream(Device::cpu()); }

void expect_max_pool_backward(const Pool2d& pool) {
  expect_bits_of_halves([pool](const Tensor& x, const Tensor& other, Tensor& to) {
    Stream stream = cpu_stream();
    const Shape shape = max_pool2d_shape(x.shape(), pool);
    Tensor y = Tensor::empty(shape), argmax = Tensor::empty(shape, max_pool2d_argmax_dtype(pool));
    max_pool2d(x, pool, y, argmax, stream);
    max_pool2d(other, pool, y, argmax, stream);
    max_pool2d_backward(y, argmax, pool, to, stream);
  });
}

TEST(Streamed, GradientsOfMaxima) {
  expect_max_pool_backward({.kernel_size = 2, .stride = 2});
  expect_max_pool_backward({.kernel_size = 3, .stride = 2, .padding = 1});
}

TEST(Streamed, GradientsOfMeans) {
  expect_bits_of_halves([](const Tensor& x, const Tensor&, Tensor& to) {
    Stream stream = cpu_stream();
    const AvgPool2dOptions pool{.kernel_size = 3, .stride = 2, .padding = 1};
    Tensor y = Tensor::empty(avg_pool2d_shape(x.shape(), pool));
    avg_pool2d(x, pool, y, stream);
    avg_pool2d_backward(y, pool, to, stream);
  });
}

TEST(Streamed, Sums) {
  expect_bits_of_halves([](const Tensor& x, const Tensor& other, Tensor& to) {
    Stream stream = cpu_stream();
    add(x, other, to, stream);
  });
}

/// Statistics that do not depend on the batch.
Tensor fixed_statistics(std::int64_t C) {
  Stream stream = cpu_stream();
  Tensor statistics = Tensor::empty({4, C});
  batch_norm2d_statistics(Tensor::randn({C}, 3), Tensor::full({C}, 2), 1e-5, statistics, stream);
  return statistics;
}

TEST(Streamed, NormalizedImages) {
  for (const bool adds : {false, true}) {
    for (const bool relu : {false, true}) {
      expect_bits_of_halves([=](const Tensor& x, const Tensor& other, Tensor& to) {
        Stream stream = cpu_stream();
        const NormEpilogue epilogue{.addend = adds ? other : Tensor{}, .relu = relu};
        batch_norm2d(x, fixed_statistics(x.dim(1)), {}, {}, epilogue, to, stream);
      });
    }
  }
}

TEST(Streamed, GradientsOfNormalizedImages) {
  for (const bool relu : {false, true}) {
    expect_bits_of_halves([=](const Tensor& x, const Tensor& other, Tensor& to) {
      Stream stream = cpu_stream();
      Tensor none;
      batch_norm2d_backward(x, fixed_statistics(x.dim(1)), {}, other, true, {.relu = relu}, {}, none, none, to, stream);
    });
  }
}

}  // namespace
}  // namespace gpucnn::kernels
