#include <gpucnn/kernels/norm/batch_norm2d.h>

#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/clear_gradient.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/norm/normalize.h>
#include <gpucnn/kernels/norm/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::string_view kStatisticsOp = "batch_norm2d_statistics", kUpdate = "batch_norm2d_update", kForward = "batch_norm2d",
                           kBackward = "batch_norm2d_backward";

void check_eps(double eps) {
  check_value(kStatisticsOp, "eps", eps, eps >= 0 && finite_in_f32(eps), "a finite number of at least 0");
}

/// `x` as one segment with a group for each channel.
NormSizes sizes_of(std::string_view op, const Tensor& x) {
  check_rank(op, "x", x, 4);
  return {1, x.dim(0) * x.dim(2) * x.dim(3), x.dim(1), x.dim(1)};
}

void check_channels(std::string_view op, std::string_view name, const Tensor& tensor, std::int64_t C, const Stream& stream) {
  if (tensor.defined()) check_tensor(op, name, tensor, Shape{C}, DType::f32, stream);
}

}  // namespace

void batch_norm2d_statistics(const Tensor& x, double eps, Tensor& statistics, Stream& stream) {
  check_activation(kStatisticsOp, "x", x, stream);
  check_eps(eps);
  const NormSizes sizes = sizes_of(kStatisticsOp, x);
  check_tensor(kStatisticsOp, "statistics", statistics, Shape{kStatistics, sizes.C}, DType::f32, stream);
  if (x.numel() == 0) throw std::invalid_argument(formatted("{}: x is empty, {}", kStatisticsOp, x.shape().string()));
  dispatch(
      stream, [&] { cpu::norm_statistics(x, sizes, eps, statistics, stream); },
      [&] { cuda::norm_statistics(x, sizes, eps, statistics, stream); });
}

void batch_norm2d_statistics(const Tensor& running_mean, const Tensor& running_var, double eps, Tensor& statistics,
                             Stream& stream) {
  check_tensor(kStatisticsOp, "running_mean", running_mean, DType::f32, stream);
  check_rank(kStatisticsOp, "running_mean", running_mean, 1);
  check_eps(eps);
  const std::int64_t C = running_mean.numel();
  check_tensor(kStatisticsOp, "running_var", running_var, Shape{C}, DType::f32, stream);
  check_tensor(kStatisticsOp, "statistics", statistics, Shape{kStatistics, C}, DType::f32, stream);
  dispatch(
      stream, [&] { cpu::batch_norm2d_statistics(running_mean, running_var, eps, statistics, stream); },
      [&] { cuda::batch_norm2d_statistics(running_mean, running_var, eps, statistics, stream); });
}

namespace {

void update(const Tensor& statistics, std::int64_t values, const Tensor& counted, std::optional<double> momentum,
            Tensor& running_mean, Tensor& running_var, Tensor& num_batches_tracked, Stream& stream) {
  check_tensor(kUpdate, "running_mean", running_mean, DType::f32, stream);
  const std::int64_t C = running_mean.numel();
  check_tensor(kUpdate, "running_mean", running_mean, Shape{C}, DType::f32, stream);
  check_tensor(kUpdate, "running_var", running_var, Shape{C}, DType::f32, stream);
  check_tensor(kUpdate, "num_batches_tracked", num_batches_tracked, Shape{}, DType::i64, stream);
  if (values > 0 || counted.defined()) {
    check_tensor(kUpdate, "statistics", statistics, Shape{kStatistics, C}, DType::f32, stream);
  }
  const auto run = [&](auto twin) {
    twin(statistics, values, counted, momentum, running_mean, running_var, num_batches_tracked, stream);
  };
  dispatch(
      stream, [&] { run(cpu::batch_norm2d_update); }, [&] { run(cuda::batch_norm2d_update); });
}

}  // namespace

void batch_norm2d_update(const Tensor& statistics, std::int64_t values, std::optional<double> momentum, Tensor& running_mean,
                         Tensor& running_var, Tensor& num_batches_tracked, Stream& stream) {
  check_value(kUpdate, "values", values, values == 0 || values > 1, "0 or more than 1");
  update(statistics, values, {}, momentum, running_mean, running_var, num_batches_tracked, stream);
}

void batch_norm2d_update(const Tensor& statistics, const Tensor& values, std::optional<double> momentum, Tensor& running_mean,
                         Tensor& running_var, Tensor& num_batches_tracked, Stream& stream) {
  check_tensor(kUpdate, "values", values, Shape{}, DType::i64, stream);
  update(statistics, 0, values, momentum, running_mean, running_var, num_batches_tracked, stream);
}

void batch_norm2d(const Tensor& x, const Tensor& statistics, const Tensor& weight, const Tensor& bias, const NormEpilogue& epilogue,
                  Tensor& y, Stream& stream) {
  const DType dtype = check_activation(kForward, "x", x, stream);
  const NormSizes sizes = sizes_of(kForward, x);
  check_tensor(kForward, "y", y, x.shape(), dtype, stream);
  if (epilogue.addend.defined()) check_tensor(kForward, "addend", epilogue.addend, x.shape(), dtype, stream);
  if (x.numel() == 0) return;
  check_tensor(kForward, "statistics", statistics, Shape{kStatistics, sizes.C}, DType::f32, stream);
  check_channels(kForward, "weight", weight, sizes.C, stream);
  check_channels(kForward, "bias", bias, sizes.C, stream);
  dispatch(
      stream, [&] { cpu::normalize(x, sizes, statistics, weight, bias, epilogue, y, stream); },
      [&] { cuda::normalize(x, sizes, statistics, weight, bias, epilogue, y, stream); });
}

void batch_norm2d_backward(const Tensor& x, const Tensor& statistics, const Tensor& weight, const Tensor& dy, bool fixed,
                           NormEpilogueBackward epilogue, BatchNorm2dAccumulate accumulate, Tensor& dweight, Tensor& dbias,
                           Tensor& dx, Stream& stream) {
  const DType dtype = check_activation(kBackward, "x", x, stream);
  const NormSizes sizes = sizes_of(kBackward, x);
  check_tensor(kBackward, "dy", dy, x.shape(), dtype, stream);
  for (const auto& [name, tensor] : {std::pair("dx", &dx), std::pair("y", &epilogue.y), std::pair("dsum", &epilogue.dsum)}) {
    if (tensor->defined()) check_tensor(kBackward, name, *tensor, x.shape(), dtype, stream);
  }
  if (epilogue.dsum.defined() && !epilogue.relu) {
    throw std::invalid_argument(formatted("{}: dsum is dy where there was no ReLU, and is not computed then", kBackward));
  }
  check_channels(kBackward, "bias", epilogue.bias, sizes.C, stream);
  check_channels(kBackward, "weight", weight, sizes.C, stream);
  check_channels(kBackward, "dweight", dweight, sizes.C, stream);
  check_channels(kBackward, "dbias", dbias, sizes.C, stream);
  if (epilogue.part) check_tensor(kBackward, "values", epilogue.part->values, Shape{}, DType::i64, stream);
  if (x.numel() == 0) {
    clear_gradient(dweight, accumulate.dweight);
    clear_gradient(dbias, accumulate.dbias);
    if (epilogue.part && dx.defined() && !fixed) {
      const auto count = static_cast<std::size_t>(2 * sizes.C);
      Tensor nothing = Tensor::zeros({count * sizeof(double)}, DType::u8, stream.device());
      epilogue.part->sum({doubles_of(nothing), count}, stream);  // the other processes wait for it
    }
    return;
  }
  check_tensor(kBackward, "statistics", statistics, Shape{kStatistics, sizes.C}, DType::f32, stream);
  NormGradients gradients{dweight, dbias, accumulate.dweight, accumulate.dbias};
  dispatch(
      stream, [&] { cpu::normalize_backward(x, sizes, statistics, weight, dy, fixed, epilogue, gradients, dx, stream); },
      [&] { cuda::normalize_backward(x, sizes, statistics, weight, dy, fixed, epilogue, gradients, dx, stream); });
}

}  // namespace gpucnn::kernels
