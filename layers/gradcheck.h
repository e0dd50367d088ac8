#pragma once

#include <cstdint>
#include <string>

#include <gpucnn/core/error.h>
#include <gpucnn/core/export.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// How `gradcheck` compares; f32 arithmetic bounds what can be asked.
struct GradcheckOptions {
  double step = 1e-2;      ///< of the differences, > 0
  double rtol = 1e-2;      ///< of the numeric gradient
  double atol = 1e-3;      ///< of the largest numeric gradient in the same tensor, or of 1 if that is smaller
  int max_elements = 64;   ///< of each tensor that are tried, spread evenly; >= 1
  std::uint64_t seed = 0;  ///< of the input and of the gradient of the output
};

/// What `gradcheck` did.
struct GradcheckResult {
  std::int64_t compared = 0;  ///< elements whose two gradients agree
  std::int64_t skipped = 0;   ///< elements within a step of a kink, as of a ReLU or a maximum, where there is no derivative
};

/// A gradient that differs from the difference quotient.
class GPUCNN_API GradientError : public Error {
 public:
  GradientError(const std::string& tensor, std::int64_t element, double backward, double numeric);
  ~GradientError() override;

  const std::string& tensor() const noexcept { return tensor_; }  ///< "x" or the parameter's name
  std::int64_t element() const noexcept { return element_; }      ///< in PyTorch's order
  double backward() const noexcept { return backward_; }          ///< what the module's backward gave
  double numeric() const noexcept { return numeric_; }            ///< the difference quotient

 private:
  std::string tensor_;
  std::int64_t element_;
  double backward_, numeric_;
};

/// Holds a module's backward against central differences of its forward, as `torch.autograd.gradcheck`: d(sum of y * dy) of the
/// input, drawn with this shape from the standard normal, and of every parameter that is learned. Works in f32 on the module's
/// device and in its mode. All forwards draw the same random numbers.
///
/// An element agrees if |backward - numeric| <= rtol * |numeric| + atol * max(1, the tensor's largest |numeric|). Where it does
/// not, steps of 1/4 and 1/16 are tried too, which do not reach a kink that is near. Throws `GradientError` that names the first
/// element that does not agree, and both values. Throws `std::invalid_argument` for options out of their bounds, and what the
/// module throws; `std::logic_error` for a module whose backward gives no gradient of x, or one of another shape. Parameters,
/// buffers and the random step are afterwards as before; gradients are forgotten.
GPUCNN_API GradcheckResult gradcheck(Module& module, const Shape& x, const GradcheckOptions& options = {});

}  // namespace gpucnn
