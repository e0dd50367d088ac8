#pragma once

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string_view>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/core/text/formatted.h>

/// Argument checks of the operations: each throws `std::invalid_argument` that begins with the operation's name.
namespace gpucnn::kernels {

/// That `tensor` (called `name` in the message) is defined, of this dtype and on the stream's device.
inline void check_tensor(std::string_view op, std::string_view name, const Tensor& tensor, DType dtype, const Stream& stream) {
  if (!tensor.defined()) throw std::invalid_argument(formatted("{}: {} is undefined", op, name));
  if (tensor.dtype() != dtype) {
    throw std::invalid_argument(formatted("{}: {} must be {}, got {}", op, name, name_of(dtype), name_of(tensor.dtype())));
  }
  if (tensor.device() != stream.device()) {
    throw std::invalid_argument(
        formatted("{}: {} is on {}, the stream on {}", op, name, tensor.device().string(), stream.device().string()));
  }
}

/// The same for an activation or its gradient: f32, or bf16 on a GPU. Returns its dtype.
inline DType check_activation(std::string_view op, std::string_view name, const Tensor& tensor, const Stream& stream) {
  const bool narrow = tensor.defined() && tensor.dtype() == DType::bf16 && stream.device().kind == Device::Kind::cuda;
  const DType dtype = narrow ? DType::bf16 : DType::f32;
  check_tensor(op, name, tensor, dtype, stream);
  return dtype;
}

/// That it is one of these, and has this shape.
inline void check_tensor(std::string_view op, std::string_view name, const Tensor& tensor, const Shape& shape, DType dtype,
                         const Stream& stream) {
  check_tensor(op, name, tensor, dtype, stream);
  if (tensor.shape() != shape) {
    throw std::invalid_argument(formatted("{}: {} must be {}, got {}", op, name, shape.string(), tensor.shape().string()));
  }
}

/// That it has this rank.
inline void check_rank(std::string_view op, std::string_view name, const Tensor& tensor, int rank) {
  if (tensor.rank() != rank) {
    throw std::invalid_argument(formatted("{}: {} must have {} dimensions, got {}", op, name, rank, tensor.shape().string()));
  }
}

/// That the two have no memory in common.
inline void check_apart(std::string_view op, std::string_view name, const Tensor& a, std::string_view other, const Tensor& b) {
  if (a.bytes() < b.bytes() + b.nbytes() && b.bytes() < a.bytes() + a.nbytes()) {
    throw std::invalid_argument(formatted("{}: {} and {} share memory", op, name, other));
  }
}

/// Whether an f32 holds it.
inline bool finite_in_f32(double value) { return std::abs(value) <= double{std::numeric_limits<float>::max()}; }

/// That `good` holds of a number; `rule` says it in words.
template <class Number>
void check_value(std::string_view op, std::string_view name, Number value, bool good, std::string_view rule) {
  if (!good) throw std::invalid_argument(formatted("{}: {} must be {}, got {}", op, name, rule, value));
}

}  // namespace gpucnn::kernels
