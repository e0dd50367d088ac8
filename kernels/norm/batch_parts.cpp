#include <cstdint>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/norm/batch_norm2d.h>
#include <gpucnn/kernels/norm/statistics_formula.h>
#include <gpucnn/kernels/norm/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::string_view kOp = "batch_norm2d_statistics";

const float* centers_of(const Tensor& center) { return center.defined() ? center.data<float>() : nullptr; }

}  // namespace

void batch_norm2d_statistics(const Tensor& x, double eps, const Tensor& center, PartOfBatch& part, Tensor& statistics,
                             Stream& stream) {
  check_activation(kOp, "x", x, stream);
  check_rank(kOp, "x", x, 4);
  const std::int64_t C = x.dim(1);
  if (center.defined()) check_tensor(kOp, "center", center, Shape{C}, DType::f32, stream);
  check_tensor(kOp, "values", part.values, Shape{}, DType::i64, stream);
  const std::int64_t values = part.counts && C > 0 ? x.numel() / C : 0;
  if (values > 0) batch_norm2d_statistics(x, eps, statistics, stream);
  check_tensor(kOp, "statistics", statistics, Shape{kStatistics, C}, DType::f32, stream);
  const auto count = static_cast<std::size_t>(1 + 2 * C);
  Tensor memory = doubles(1 + 2 * C, stream.device());
  double* const sums = doubles_of(memory);
  dispatch(
      stream, [&] { cpu::part_sums(statistics, values, center, sums, stream); },
      [&] { cuda::part_sums(statistics, values, center, sums, stream); });
  part.sum({sums, count}, stream);
  dispatch(
      stream, [&] { cpu::whole_statistics(sums, center, eps, statistics, part.values, stream); },
      [&] { cuda::whole_statistics(sums, center, eps, statistics, part.values, stream); });
}

void cpu::part_sums(const Tensor& own, std::int64_t values, const Tensor& center, double* sums, Stream&) {
  const std::int64_t C = own.dim(1);
  const float *const from = own.data<float>(), *const centers = centers_of(center);
  for (std::int64_t c = 0; c < C; ++c) put_part_sums(from, values, centers, C, c, sums);
}

void cpu::whole_statistics(const double* sums, const Tensor& center, double eps, Tensor& statistics, Tensor& values, Stream&) {
  const std::int64_t C = statistics.dim(1);
  *values.data<std::int64_t>() = static_cast<std::int64_t>(sums[0]);
  if (sums[0] == 0) return;
  const float* const centers = centers_of(center);
  auto* const to = statistics.data<float>();
  for (std::int64_t c = 0; c < C; ++c) put_whole_statistics(sums, centers, eps, C, c, to);
}

}  // namespace gpucnn::kernels
