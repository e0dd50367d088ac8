#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// Coefficients of one Adam update, as `torch.optim.Adam`.
struct AdamStep {
  double lr;               ///< >= 0 and finite in f32
  double beta1, beta2;     ///< in [0, 1)
  double eps;              ///< >= 0 and finite in f32
  double weight_decay;     ///< >= 0 and finite in f32
  std::int64_t step;       ///< counted from 1
  int group = 0;           ///< of the parameters: whose numbers of StepState a captured step takes
  bool maximize = false;   ///< takes -dweight for dweight
  bool decoupled = false;  ///< AdamW: weight_decay shrinks the weight, and is not in g
  bool is_whole = false;   ///< it is all that the optimizer does in this step, so that a captured step may end in it
};

/// Kingma and Ba, "Adam" (ICLR 2015), in PyTorch's order of operations:
///   g = (maximize ? -dweight : dweight) + weight_decay * weight
///   m = m + (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g * g
///   weight -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)
/// Decoupled, as Loshchilov and Hutter, "Decoupled weight decay regularization" (ICLR 2019) and `torch.optim.AdamW`: first
/// weight *= 1 - lr * weight_decay; then the same with g = dweight or -dweight.
///
/// dweight, weight, m, v: f32 of one shape, each in memory of its own. Coefficients are computed in double and rounded to f32.
/// Throws `std::invalid_argument` for a coefficient outside its bounds. One pass over memory.
///
/// For every eps weights are PyTorch's but for rounding, also where v is subnormal, below 2^-126. On the CPU a subnormal m or v
/// becomes 0 if no weight shows it. At the default betas that takes an eps of 1e-9 or more, and weights that are not tiny.
///
/// In a captured step on a GPU lr and beta1 are StepState's of the group, and its count of updates is added to `step`.
GPUCNN_API void adam(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, Stream& stream);

/// AMSGrad of Reddi, Kale and Kumar, "On the convergence of Adam and beyond" (ICLR 2018), as PyTorch's `amsgrad`. The same with
/// max_v = max(max_v, v), of the same shape, in place of v under the root. A v that is NaN makes max_v NaN. If max_v is undefined,
/// this is the function above.
GPUCNN_API void adam(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, Tensor& max_v,
                     Stream& stream);

}  // namespace gpucnn::kernels
