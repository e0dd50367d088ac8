#include <gpucnn/kernels/norm/fold_norm.h>

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/copy/cast.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;

class FoldNormTest : public DeviceTest {
 protected:
  Tensor in(DType dtype, const Tensor& x) {
    Tensor y = empty(x.shape(), dtype);
    cast(x, y, stream());
    return y;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, FoldNormTest, devices(), device_name);

TEST_P(FoldNormTest, ScalesWeightsAndShiftsTheBias) {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{7, 5, 3, 2}, Shape{33, 64, 3, 3}, Shape{300, 257, 1, 1}}) {
    for (const bool affine : {true, false}) {
      SCOPED_TRACE(shape.string());
      const std::int64_t K = shape[0], row = shape.numel() / K;
      const std::vector<float> weight = random_floats(shape.numel(), 1), bias = random_floats(K, 2), mean = random_floats(K, 3),
                               gamma = random_floats(K, 4), beta = random_floats(K, 5);
      std::vector<float> var = random_floats(K, 6);
      for (float& value : var) value = std::abs(value);
      Values scaled, shifted;
      for (std::size_t k = 0; k < static_cast<std::size_t>(K); ++k) {
        const double scale = (affine ? gamma[k] : 1) / std::sqrt(double{var[k]} + 1e-3);
        for (std::int64_t i = 0; i < row; ++i) scaled.push_back(weight[k * row + i] * scale);
        shifted.push_back(((affine ? double{bias[k]} : 0) - mean[k]) * scale + (affine ? beta[k] : 0));
      }
      everywhere(device(), [&] {
        const FixedNorm norm{tensor(mean), tensor(var), affine ? tensor(gamma) : Tensor{}, affine ? tensor(beta) : Tensor{}, 1e-3};
        const Tensor weights = tensor(weight, shape), biases = affine ? tensor(bias) : Tensor{};
        Tensor to_weight = empty(shape), to_bias = empty({K});
        fold_norm(weights, biases, norm, to_weight, to_bias, stream());
        std::vector<float> folded = to_weight.to_vector<float>();
        const std::vector<float> folded_bias = to_bias.to_vector<float>();
        expect_close(folded, scaled, kPointwise);
        expect_close(folded_bias, shifted, kPointwise);
        if (device().kind == Device::Kind::cuda) {
          Tensor weight16 = empty(shape, DType::bf16), bias16 = empty({K}, DType::bf16);
          fold_norm(weights, biases, norm, weight16, bias16, stream());
          EXPECT_EQ(in(DType::f32, weight16).to_vector<float>(), in(DType::f32, in(DType::bf16, to_weight)).to_vector<float>());
          EXPECT_EQ(in(DType::f32, bias16).to_vector<float>(), in(DType::f32, in(DType::bf16, to_bias)).to_vector<float>());
        }
        folded.insert(folded.end(), folded_bias.begin(), folded_bias.end());
        return folded;
      });
    }
  }
}

TEST_P(FoldNormTest, RefusesTensorsThatDoNotFitTogether) {
  Tensor weight = empty({3, 2, 1, 1}), bias = empty({3}), other = empty({4});
  const FixedNorm norm{bias, bias, {}, {}, 1e-5};
  EXPECT_THAT([&] { fold_norm(other, {}, norm, weight, bias, stream()); }, misuse("fold_norm: weight must have 4 dimensions"));
  EXPECT_THAT([&] { fold_norm(weight, other, norm, weight, bias, stream()); }, misuse("fold_norm: bias must be [3], got [4]"));
  EXPECT_THAT(
      [&] {
        fold_norm(weight, {}, {bias, other, {}, {}, 1e-5}, weight, bias, stream());
      },
      misuse("fold_norm: running_var must be [3], got [4]"));
  EXPECT_THAT(
      [&] {
        fold_norm(weight, {}, {bias, bias, other, {}, 1e-5}, weight, bias, stream());
      },
      misuse("fold_norm: the norm's weight must be [3], got [4]"));
  EXPECT_THAT([&] { fold_norm(weight, {}, norm, weight, other, stream()); }, misuse("fold_norm: folded_bias must be [3], got [4]"));
}

}  // namespace
}  // namespace gpucnn::kernels
