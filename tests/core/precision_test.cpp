#include <gpucnn/core/precision.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

#include "device_test.h"
#include "misuse.h"
#include "pretended_bf16.h"

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

TEST(Precision, Bf16NeedsAProcessorWithInstructionsForIt) {
  {
    const PretendedBf16 there(true);
    EXPECT_NO_THROW(require_precision(Precision::bf16, Device::cpu()));
  }
  const PretendedBf16 none(false);
  EXPECT_THAT([] { require_precision(Precision::bf16, Device::cpu()); },
              testing::ThrowsMessage<DeviceError>("bf16 needs a processor with AVX512-BF16 or AMX-BF16; this one has neither"));
}

TEST(Precision, OfActivationsDependsOnTheDevice) {
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    const bool bf16 = precision == Precision::bf16;
    EXPECT_EQ(activation_dtype(precision, Device::cpu()), DType::f32);
    EXPECT_EQ(activation_dtype(precision, Device::cuda()), bf16 ? DType::bf16 : DType::f32);
    EXPECT_EQ(rounds_factors(precision, Device::cpu()), bf16);
    EXPECT_FALSE(rounds_factors(precision, Device::cuda()));
  }
}

class PrecisionTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, PrecisionTest, devices(), device_name);

TEST_P(PrecisionTest, Fp32IsEverywhere) { EXPECT_NO_THROW(require_precision(Precision::fp32, device())); }

}  // namespace
}  // namespace gpucnn
