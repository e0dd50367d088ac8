#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <gpucnn/core/config.h>
#include <gpucnn/core/device.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

#include "close.h"

namespace gpucnn {

/// A test whose parameter is the device it runs on:
///   class ReluTest : public DeviceTest {};
///   INSTANTIATE_TEST_SUITE_P(Devices, ReluTest, devices(), device_name);
/// Without a usable GPU the cuda instances are skipped with the reason. They fail instead where somebody counts on a GPU: with
/// GPUCNN_REQUIRE_GPU=1, or when this build has CUDA code and the machine an NVIDIA driver.
class DeviceTest : public testing::TestWithParam<Device> {
 protected:
  void SetUp() override {
    try {
      stream_.emplace(device());
    } catch (const DeviceError& error) {
      const char* require = std::getenv("GPUCNN_REQUIRE_GPU");
      const bool required = require && std::string_view(require) == "1";
      if (required || (kBuiltWithCuda && std::filesystem::exists("/dev/nvidiactl"))) FAIL() << error.what();
      GTEST_SKIP() << error.what();
    }
  }

  Device device() const { return GetParam(); }
  Stream& stream() { return *stream_; }

  template <class T>
  Tensor tensor(const std::vector<T>& values, const Shape& shape) const {
    return Tensor::from(values, shape, device());
  }
  Tensor tensor(const std::vector<float>& values) const { return tensor(values, Shape{values.size()}); }
  Tensor empty(const Shape& shape, DType dtype = DType::f32) const { return Tensor::empty(shape, dtype, device()); }

 private:
  std::optional<Stream> stream_;
};

/// For convolutions and linear layers: on a GPU the vendor's libraries add in an order of their own.
inline Tolerance products_on(Device device) { return device.kind == Device::Kind::cuda ? kVendorSum : kSum; }

inline auto devices() { return testing::Values(Device::cpu(), Device::cuda()); }

inline std::string device_name(const testing::TestParamInfo<Device>& info) {
  return info.param.kind == Device::Kind::cpu ? "cpu" : "cuda";
}

}  // namespace gpucnn
