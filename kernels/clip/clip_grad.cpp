#include <gpucnn/kernels/clip/clip_grad.h>

#include <limits>

#include <gpucnn/kernels/clip/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {
namespace {

float in_f32(double limit) { return finite_in_f32(limit) ? static_cast<float>(limit) : std::numeric_limits<float>::infinity(); }

}  // namespace

void vector_norm(const Tensor& x, double norm_type, Tensor& norm, Stream& stream) {
  check_tensor("vector_norm", "x", x, DType::f32, stream);
  check_tensor("vector_norm", "norm", norm, Shape{}, DType::f32, stream);
  check_value("vector_norm", "norm_type", norm_type, norm_type > 0, "> 0");
  dispatch(
      stream, [&] { cpu::vector_norm(x, norm_type, norm, stream); }, [&] { cuda::vector_norm(x, norm_type, norm, stream); });
}

void clip_by_norm(const Tensor& total_norm, double max_norm, Tensor& gradient, Stream& stream) {
  check_tensor("clip_by_norm", "total_norm", total_norm, Shape{}, DType::f32, stream);
  check_tensor("clip_by_norm", "gradient", gradient, DType::f32, stream);
  check_value("clip_by_norm", "max_norm", max_norm, max_norm >= 0, ">= 0");
  const float limit = in_f32(max_norm);
  dispatch(
      stream, [&] { cpu::clip_by_norm(total_norm, limit, gradient, stream); },
      [&] { cuda::clip_by_norm(total_norm, limit, gradient, stream); });
}

void clip_by_value(double clip_value, Tensor& gradient, Stream& stream) {
  check_tensor("clip_by_value", "gradient", gradient, DType::f32, stream);
  check_value("clip_by_value", "clip_value", clip_value, clip_value >= 0, ">= 0");
  const float limit = in_f32(clip_value);
  dispatch(
      stream, [&] { cpu::clip_by_value(limit, gradient, stream); }, [&] { cuda::clip_by_value(limit, gradient, stream); });
}

}  // namespace gpucnn::kernels
