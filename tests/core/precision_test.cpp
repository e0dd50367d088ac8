#include <gpucnn/core/precision.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

#include "device_test.h"
#include "misuse.h"

namespace gpucnn {
namespace {

TEST(Precision, ParsesWhatItPrints) {
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16})
    EXPECT_EQ(parse_precision(name_of(precision)), precision);
  for (const char* text : {"", "FP32", "fp16", "double"}) {
    EXPECT_THAT([&] { parse_precision(text); }, misuse("precision '" + std::string(text) + "' is not"));
  }
}

TEST(Precision, Tf32NeedsAGpu) {
  EXPECT_NO_THROW(require_precision(Precision::fp32, Device::cpu()));
  EXPECT_THAT([] { require_precision(Precision::tf32, Device::cpu()); },
              testing::ThrowsMessage<DeviceError>(testing::HasSubstr("tf32 needs a GPU of compute capability 8.0 or later")));
}

class PrecisionTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, PrecisionTest, devices(), device_name);

TEST_P(PrecisionTest, Fp32IsEverywhere) { EXPECT_NO_THROW(require_precision(Precision::fp32, device())); }

}  // namespace
}  // namespace gpucnn
