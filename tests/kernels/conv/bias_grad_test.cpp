#include <gpucnn/kernels/conv/bias_grad.h>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "reference/values.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;

class BiasGradTest : public DeviceTest {
 protected:
  static reference::Values sums(const std::vector<float>& dy, std::int64_t R, std::int64_t K) {
    reference::Values expected(static_cast<std::size_t>(K));
    for (std::int64_t e = 0; e < R * K; ++e) {
      expected[static_cast<std::size_t>(e % K)] += static_cast<double>(dy[static_cast<std::size_t>(e)]);
    }
    return expected;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, BiasGradTest, testing::Values(Device::cuda()), device_name);

TEST_P(BiasGradTest, AddsTheRowsForEverySize) {
  for (const Shape& shape : {Shape{1, 1}, Shape{5, 1}, Shape{4095, 1}, Shape{4097, 1}, Shape{128, 10}, Shape{1000, 16},
                             Shape{513, 33}, Shape{3, 300}, Shape{20000, 2}, Shape{5000, 31}, Shape{0, 3}}) {
    SCOPED_TRACE(shape.string());
    const std::vector<float> dy = random_floats(shape.numel(), 1);
    Tensor dbias = empty({shape[1]});
    cuda::bias_grad(tensor(dy, shape), false, dbias, stream());
    const std::vector<float> once = dbias.to_vector<float>();
    expect_close(once, sums(dy, shape[0], shape[1]), kSum);
    cuda::bias_grad(tensor(dy, shape), true, dbias, stream());
    reference::Values twice(once.begin(), once.end());
    for (double& value : twice) value *= 2;
    expect_close(dbias.to_vector<float>(), twice, kSameValue);
  }
}

TEST_P(BiasGradTest, AddsThePixelsOfImagesAndTakesViews) {
  const std::vector<float> dy = random_floats(2 * 5 * 4 * 3 + 1, 1);  // as it lies in memory: N, H, W, K
  Tensor dbias = empty({6}).view(1, {5});
  cuda::bias_grad(tensor(dy).view(1, {2, 5, 4, 3}), false, dbias, stream());
  expect_close(dbias.to_vector<float>(), sums({dy.begin() + 1, dy.end()}, 2 * 4 * 3, 5), kSum);
}

}  // namespace
}  // namespace gpucnn::kernels
