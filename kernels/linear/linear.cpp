#include <gpucnn/kernels/linear/linear.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/clear_gradient.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/linear/linear_impl.h>

namespace gpucnn::kernels {

Shape linear_shape(const Shape& x, std::int64_t in_features, std::int64_t out_features) {
  if (x.rank() == 1)
    throw std::invalid_argument(formatted("expects [N, {}], got {}: add a batch dimension", in_features, x.string()));
  if (x.rank() != 2) throw std::invalid_argument(formatted("expects [N, {}], got {}", in_features, x.string()));
  if (x[1] != in_features) throw std::invalid_argument(formatted("expects {} input features, got {}", in_features, x[1]));
  return {x[0], out_features};
}

LinearPlan::LinearPlan(const Shape& x, std::int64_t out_features, bool bias, Device device, Precision precision)
    : x_(x),
      weight_(out_features, x.rank() == 2 ? x[1] : 0),
      y_(linear_shape(x, x.rank() == 2 ? x[1] : 0, out_features)),
      bias_(bias),
      device_(device),
      precision_(precision) {
  require_precision(precision, device);
  if (weight_.numel() == 0) {
    throw std::invalid_argument(
        formatted("linear: in_features and out_features must be at least 1, got {} and {}", weight_[1], weight_[0]));
  }
  const Stream stream(device);
  if (!x_.numel()) return;
  impl_ = dispatch(
      stream, [&] { return cpu::linear(x_[0], x_[1], out_features); },
      [&] { return cuda::linear_cublas(x_[0], x_[1], out_features, bias, device, precision); });
}

LinearPlan::~LinearPlan() = default;
LinearPlan::LinearPlan(LinearPlan&&) noexcept = default;
LinearPlan& LinearPlan::operator=(LinearPlan&&) noexcept = default;

LinearPlan::Impl* LinearPlan::impl_for(const char* op) const {
  if (!impl_ && x_.numel()) throw std::logic_error(formatted("{}: the plan was moved from", op));
  return impl_.get();
}

void LinearPlan::forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
                         Stream& stream) {
  check_tensor("linear", "x", x, x_, activation_dtype(precision_, device_), stream);
  check_tensor("linear", "weight", weight, weight_, activation_dtype(precision_, device_), stream);
  if (bias_) check_tensor("linear", "bias", bias, Shape{weight_[0]}, activation_dtype(precision_, device_), stream);
  check_tensor("linear", "y", y, y_, activation_dtype(precision_, device_), stream);
  const FloatEnvironment standard;
  if (Impl* impl = impl_for("linear")) impl->forward(x, weight, bias, epilogue, y, stream);
}

void LinearPlan::backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) {
  check_tensor("linear_backward_data", "dy", dy, y_, activation_dtype(precision_, device_), stream);
  check_tensor("linear_backward_data", "weight", weight, weight_, activation_dtype(precision_, device_), stream);
  check_tensor("linear_backward_data", "dx", dx, x_, activation_dtype(precision_, device_), stream);
  const FloatEnvironment standard;
  if (Impl* impl = impl_for("linear_backward_data")) impl->backward_data(dy, weight, dx, stream);
}

void LinearPlan::backward_weights(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                                  Stream& stream) {
  check_tensor("linear_backward_weights", "x", x, x_, activation_dtype(precision_, device_), stream);
  check_tensor("linear_backward_weights", "dy", dy, y_, activation_dtype(precision_, device_), stream);
  check_tensor("linear_backward_weights", "dweight", dweight, weight_, DType::f32, stream);
  if (bias_) check_tensor("linear_backward_weights", "dbias", dbias, Shape{weight_[0]}, DType::f32, stream);
  const FloatEnvironment standard;
  if (Impl* impl = impl_for("linear_backward_weights")) return impl->backward_weights(x, dy, accumulate, dweight, dbias, stream);
  clear_gradient(dweight, accumulate.dweight);
  clear_gradient(dbias, accumulate.dbias);
}

}  // namespace gpucnn::kernels
