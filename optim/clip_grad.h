#pragma once

#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// Between backward and update, as `torch.nn.utils.clip_grad_norm_`: multiplies all gradients by
/// min(max_norm / (total_norm + 1e-6), 1). total_norm is the norm of all gradients as one vector: (sum of |g|^norm_type)^(1 /
/// norm_type), or the largest |g| where norm_type is infinity.
///
/// Returns total_norm before the change, f32 [] on the parameters' device, without waiting for it. Parameters without a gradient
/// are passed over; if none has one, the norm is 0. If the norm is infinite, the factor is 0; if it is NaN, so are all gradients:
/// PyTorch with error_if_nonfinite=False.
///
/// Throws `std::invalid_argument` unless max_norm >= 0, norm_type > 0 and all gradients lie on the first parameter's device, and
/// `std::logic_error` for a parameter that no model holds.
GPUCNN_API Tensor clip_grad_norm(const std::vector<Parameter>& parameters, double max_norm, double norm_type = 2.0);

/// As `torch.nn.utils.clip_grad_value_`: brings each element of the gradients into [-clip_value, clip_value]; NaN stays. Throws
/// `std::invalid_argument` unless clip_value >= 0, and `std::logic_error` for a parameter that no model holds.
GPUCNN_API void clip_grad_value(const std::vector<Parameter>& parameters, double clip_value);

}  // namespace gpucnn
