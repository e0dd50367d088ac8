#include <gpucnn/core/device.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/config.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::ThrowsMessage;

TEST(Device, ParsesWhatItPrints) {
  EXPECT_EQ(Device::parse("cpu"), Device::cpu());
  EXPECT_EQ(Device::parse("cuda"), Device::cuda(0));
  for (const Device device : {Device::cpu(), Device::cuda(), Device::cuda(3)}) EXPECT_EQ(Device::parse(device.string()), device);
}

TEST(Device, RefusesOtherTexts) {
  for (const char* text : {"", "CPU", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda: 1", "cuda:99999999999", "cpu:0"}) {
    EXPECT_THAT([&] { Device::parse(text); },
                ThrowsMessage<std::invalid_argument>(StartsWith("device '" + std::string(text) + "'")));
  }
}

TEST(Device, IsTheCpuByDefault) { EXPECT_EQ(Device{}, Device::cpu()); }

TEST(Device, BestIsUsableAndSaysWhy) {
  std::string why;
  const Device best = Device::best(&why);
  EXPECT_NO_THROW(best.require());
  EXPECT_THAT(why, StartsWith(best == Device::cpu() ? "using the CPU: " : "using cuda:0"));
  EXPECT_EQ(Device::best(), best);
}

TEST(Device, WithoutCudaInTheBuildSaysSo) {
  if (kBuiltWithCuda) GTEST_SKIP() << "this build has CUDA";
  EXPECT_NO_THROW(Device::cpu().require());
  const auto says_why = ThrowsMessage<DeviceError>(HasSubstr("cuda:1 cannot be used: this build of libgpucnn has no CUDA code"));
  EXPECT_THAT([] { Device::cuda(1).require(); }, says_why);
  EXPECT_THAT([] { Stream{Device::cuda(1)}; }, says_why);
  EXPECT_THAT([] { Tensor::zeros({2}, DType::f32, Device::cuda(1)); }, says_why);
  EXPECT_THAT([] { Tensor::zeros({2}).to(Device::cuda(1)); }, says_why);
  EXPECT_THROW(Tensor::empty({2}, DType::f32, Device::cuda(1000)), DeviceError);
}

TEST(Stream, KnowsItsDevice) {
  Stream stream;
  EXPECT_EQ(stream.device(), Device::cpu());
  const Stream moved = std::move(stream);
  EXPECT_EQ(moved.device(), Device::cpu());
}

}  // namespace
}  // namespace gpucnn
