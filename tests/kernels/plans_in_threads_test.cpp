// Plans that several threads make and run at the same time, each its own, on one device.
#include <future>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/kernels/linear/linear.h>

#include "device_test.h"
#include "reference/values.h"

namespace gpucnn::kernels {
namespace {

class PlansInThreadsTest : public DeviceTest {
 protected:
  Tensor random(const Shape& shape, unsigned seed) const { return tensor(reference::random_floats(shape.numel(), seed), shape); }

  /// Makes and runs plans for `rounds` sizes, one after the other without waiting, and gives what the last of each size computed.
  std::vector<float> results(int rounds) const {
    constexpr int kSizes = 3;
    // So many channels go to the vendor's library.
    const Tensor all = random({kSizes, 33, 1, 1}, 1), weight = random({32, 33, 1, 1}, 2), bias = random({32}, 3),
                 matrix = random({5, 32}, 4), more = random({5}, 5);
    std::vector<Tensor> made(3 * kSizes);
    Stream queue(device());
    for (int round = 0; round < rounds; ++round) {
      const int size = round % kSizes, N = size + 1;
      const Tensor x = all.narrow(0, N);
      Conv2dPlan conv(x.shape(), 32, {.kernel_size = 1}, device());
      Tensor y = empty(conv.y_shape()), dx = empty(x.shape()), z = empty({N, 5});
      conv.forward(x, weight, bias, {}, y, queue);
      conv.backward_data(y, weight, dx, queue);
      LinearPlan({N, 32}, 5, true, device()).forward(y.view(0, {N, 32}), matrix, more, {}, z, queue);
      made[static_cast<std::size_t>(3 * size)] = y;
      made[static_cast<std::size_t>(3 * size + 1)] = dx;
      made[static_cast<std::size_t>(3 * size + 2)] = z;
    }
    std::vector<float> values;
    for (const Tensor& each : made) {
      for (const float value : each.to_vector<float>()) values.push_back(value);
    }
    return values;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, PlansInThreadsTest, devices(), device_name);

TEST_P(PlansInThreadsTest, ComputeAsThoseOfOneThread) {
  constexpr int kRounds = 150;
  std::vector<std::future<std::vector<float>>> running;
  for (int thread = 0; thread < 3; ++thread) {
    running.push_back(std::async(std::launch::async, [this] { return results(kRounds); }));
  }
  const std::vector<float> expected = results(kRounds);
  for (auto& each : running) EXPECT_EQ(each.get(), expected);
}

}  // namespace
}  // namespace gpucnn::kernels
