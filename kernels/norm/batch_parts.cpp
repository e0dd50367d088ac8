#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/norm/batch_norm2d.h>
#include <gpucnn/kernels/norm/normalize.h>

namespace gpucnn::kernels {
namespace {

constexpr std::string_view kOp = "batch_norm2d_statistics";

/// The centers as doubles; 0 for one that is not finite, from which nothing could be told apart.
std::vector<double> centers_of(const Tensor& center, std::int64_t C) {
  std::vector<double> centers(static_cast<std::size_t>(C));
  if (!center.defined()) return centers;
  std::transform(center.data<float>(), center.data<float>() + C, centers.begin(),
                 [](float value) { return std::isfinite(value) ? static_cast<double>(value) : 0.0; });
  return centers;
}

/// The batch's, from the sums over it: the count of values, and for each channel the sums of their differences from its center and
/// of the squares of those.
void write_statistics(const std::vector<double>& centers, const std::vector<double>& sums, double eps, Tensor& statistics) {
  const std::size_t C = centers.size();
  float* const to = statistics.data<float>();
  for (std::size_t c = 0; c < C; ++c) {
    const double apart = sums[1 + c] / sums[0], squares = sums[1 + C + c] / sums[0] - apart * apart;
    const double mean = centers[c] + apart, variance = squares < 0 ? 0 : squares;  // a NaN stays
    to[static_cast<std::size_t>(kMean) * C + c] = static_cast<float>(mean);
    to[static_cast<std::size_t>(kMeanRest) * C + c] = static_cast<float>(mean - static_cast<double>(static_cast<float>(mean)));
    to[static_cast<std::size_t>(kRstd) * C + c] = static_cast<float>(1 / std::sqrt(variance + eps));
    to[static_cast<std::size_t>(kVariance) * C + c] = static_cast<float>(variance);
  }
}

}  // namespace

std::int64_t batch_norm2d_statistics(const Tensor& x, double eps, const Tensor& center, const SumOverParts& sum, Tensor& statistics,
                                     Stream& stream) {
  if (stream.device().kind != Device::Kind::cpu) {
    throw std::invalid_argument(formatted("{}: parts of a batch are summed on the CPU only", kOp));
  }
  check_tensor(kOp, "x", x, DType::f32, stream);
  check_rank(kOp, "x", x, 4);
  const auto C = static_cast<std::size_t>(x.dim(1));
  if (center.defined()) check_tensor(kOp, "center", center, Shape{x.dim(1)}, DType::f32, stream);
  const std::vector<double> centers = centers_of(center, x.dim(1));
  std::vector<double> sums(1 + 2 * C);
  if (x.numel() > 0) {
    batch_norm2d_statistics(x, eps, statistics, stream);
    const float* const own = statistics.data<float>();
    const std::int64_t pixels = x.numel() / x.dim(1);  // of a channel
    sums[0] = static_cast<double>(pixels);
    for (std::size_t c = 0; c < C; ++c) {
      const auto row = [&](std::int64_t r) { return static_cast<double>(own[static_cast<std::size_t>(r) * C + c]); };
      const double apart = row(kMean) + row(kMeanRest) - centers[c];
      sums[1 + c] = sums[0] * apart;
      sums[1 + C + c] = sums[0] * (row(kVariance) + apart * apart);
    }
  }
  sum(sums);
  if (sums[0] > 0) write_statistics(centers, sums, eps, statistics);
  return static_cast<std::int64_t>(sums[0]);
}

}  // namespace gpucnn::kernels
