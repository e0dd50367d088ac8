#include <gpucnn/kernels/muon/muon.h>

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/kernels/muon/newton_schulz.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"
#include "unaligned.h"

// The kernels of Muon, but for its products of matrices.
namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;
using reference::widen;

constexpr MuonStep kStep{.lr = 0.1, .lr_ratio = 3, .weight_decay = 0.5, .momentum = 0.9, .nesterov = true};
constexpr std::int64_t kSizes[] = {0, 1, 3, 31, 33, 257, 70'000};

class MuonKernels : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, MuonKernels, devices(), device_name);

TEST_P(MuonKernels, TheDirectionIsTheMomentumOrAStepAhead) {
  for (const std::int64_t size : kSizes) {
    const std::vector<float> dweight = random_floats(size, 1), before = random_floats(size, 2);
    for (const double momentum : {0.0, 0.3, 0.95}) {
      for (const bool nesterov : {false, true}) {
        SCOPED_TRACE(testing::Message() << size << " elements, momentum " << momentum);
        Values buffer = widen(before), direction(buffer.size());
        for (std::size_t i = 0; i < buffer.size(); ++i) {
          const auto g = static_cast<double>(dweight[i]);
          buffer[i] = momentum * buffer[i] + (1 - momentum) * g;
          direction[i] = nesterov ? (1 - momentum) * g + momentum * buffer[i] : buffer[i];
        }
        MuonStep step = kStep;
        step.momentum = momentum;
        step.nesterov = nesterov;
        everywhere(device(), [&] {
          Tensor u = tensor(before), ahead = empty({size});
          muon_direction(tensor(dweight), step, u, ahead, stream());
          expect_close(u.to_vector<float>(), buffer, kSum);
          expect_close(ahead.to_vector<float>(), direction, kSum);
          return ahead.to_vector<float>();
        });
      }
    }
  }
}

TEST_P(MuonKernels, TheUpdateDecaysAndGoesAgainstTheDirection) {
  for (const std::int64_t size : kSizes) {
    SCOPED_TRACE(size);
    const std::vector<float> direction = random_floats(size, 1), weight = random_floats(size, 2);
    Values expected = widen(weight);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = expected[i] * 0.95 - 0.3 * static_cast<double>(direction[i]);
    everywhere(device(), [&] {
      Tensor w = tensor(weight), other = unaligned(w);
      muon_update(tensor(direction), kStep, w, stream());
      muon_update(tensor(direction), kStep, other, stream());
      expect_close(w.to_vector<float>(), expected, kSum);
      EXPECT_EQ(other.to_vector<float>(), w.to_vector<float>());
      return w.to_vector<float>();
    });
  }
}

TEST_P(MuonKernels, AMatrixIsDividedByItsNormOrByEps) {
  for (const std::int64_t size : kSizes) {
    SCOPED_TRACE(size);
    const std::vector<float> x = random_floats(size, 1);
    Values expected = widen(x);
    double squares = 0;
    for (const double value : expected) squares += value * value;
    for (const double eps : {1e-7, 1e6}) {
      Values divided = expected;
      for (double& value : divided) value /= std::max(std::sqrt(squares), eps);
      everywhere(device(), [&] {
        Tensor y = tensor(x);
        normalize_matrix(y, eps, y, stream());
        expect_close(y.to_vector<float>(), divided, kPointwise);
        return y.to_vector<float>();
      });
    }
  }
}

TEST_P(MuonKernels, ZeroHugeTinyAndNaNMatricesAreNormalizedAsPyTorchDoes) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  const auto normalized = [&](const std::vector<float>& x) {
    Tensor y = empty({x.size()});
    normalize_matrix(tensor(x), 1e-7, y, stream());
    return y.to_vector<float>();
  };
  EXPECT_EQ(normalized({0, -0.0F, 0}), (std::vector<float>{0, 0, 0}));
  expect_close(normalized({3e30F, -4e30F}), Values{0.6, -0.8}, kPointwise);
  expect_close(normalized({3e-30F, -4e-30F}), Values{3e-23, -4e-23}, kPointwise);
  for (const float value : normalized({1, kNan, 2})) EXPECT_TRUE(std::isnan(value));
  EXPECT_THAT(normalized({1, kInfinity, 2}), testing::ElementsAre(0, testing::IsNan(), 0));
}

TEST_P(MuonKernels, ThePolynomialAddsToTheDiagonal) {
  for (const std::int64_t S : {1, 2, 5, 33, 200}) {
    SCOPED_TRACE(S);
    const std::vector<float> gram = random_floats(S * S, 1), square = random_floats(S * S, 2);
    Values expected = widen(gram);
    for (std::int64_t i = 0; i < S * S; ++i) {
      const auto at = static_cast<std::size_t>(i);
      expected[at] = (i / S == i % S ? 3.5 : 0.0) - 4 * expected[at] + 2 * static_cast<double>(square[at]);
    }
    everywhere(device(), [&] {
      Tensor y = tensor(square, {S, S});
      newton_schulz_polynomial(tensor(gram, {S, S}), y, {3.5, -4, 2}, y, stream());
      expect_close(y.to_vector<float>(), expected, kSum);
      return y.to_vector<float>();
    });
  }
}

TEST_P(MuonKernels, RefuseCoefficientsAndShapes) {
  Tensor t = tensor({1, 2}), three = tensor({1, 2, 3}), matrix = empty({2, 3}), square = empty({2, 2});
  const auto with = [&](double MuonStep::*field, double value) {
    return [&, field, value] {
      MuonStep step = kStep;
      step.*field = value;
      muon_direction(t, step, t, t, stream());
      muon_update(t, step, t, stream());
    };
  };
  EXPECT_THAT(with(&MuonStep::lr, -1), misuse("muon: lr must be >= 0, got -1"));
  EXPECT_THAT(with(&MuonStep::lr_ratio, 1e300), misuse("muon: lr_ratio must be finite in f32"));
  EXPECT_THAT(with(&MuonStep::momentum, std::nan("")), misuse("muon: momentum must be >= 0, got nan"));
  EXPECT_THAT(with(&MuonStep::weight_decay, -1), misuse("muon: weight_decay must be >= 0"));
  EXPECT_THAT([&] { muon_direction(t, kStep, three, t, stream()); }, misuse("muon: momentum_buffer must be [2], got [3]"));
  EXPECT_THAT([&] { muon_direction(t, kStep, t, three, stream()); }, misuse("muon: direction must be [2], got [3]"));
  EXPECT_THAT([&] { muon_update(three, kStep, t, stream()); }, misuse("muon: direction must be [2], got [3]"));
  EXPECT_THAT([&] { normalize_matrix(t, -1, t, stream()); }, misuse("normalize_matrix: eps must be >= 0, got -1"));
  EXPECT_THAT([&] { normalize_matrix(t, 0, three, stream()); }, misuse("normalize_matrix: y must be [2], got [3]"));
  EXPECT_THAT([&] { newton_schulz_polynomial(matrix, square, {}, square, stream()); },
              misuse("newton_schulz_polynomial: gram must be [2, 2], got [2, 3]"));
  EXPECT_THAT([&] { newton_schulz_polynomial(square, matrix, {}, square, stream()); },
              misuse("newton_schulz_polynomial: square must be [2, 2], got [2, 3]"));
}

}  // namespace
}  // namespace gpucnn::kernels
