#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace gpucnn::kernels::cpu {

/// The rows or the columns of a correlation: tap t of output o reads input origin + o * stride + t * step, if there is one. The
/// outputs lie at `to`, to + to_step, …; tap t multiplies by weight `weight` + t * weight_step.
struct Axis {
  std::int64_t inputs, outputs;
  std::int64_t origin, stride, step, taps;
  std::int64_t to = 0, to_step = 1;
  std::int64_t weight = 0, weight_step = 1;

  /// The taps of output o that lie inside are [first_tap(o), last_tap(o)).
  std::int64_t first_tap(std::int64_t o) const { return std::min(taps, taps_before(0, o)); }
  std::int64_t last_tap(std::int64_t o) const { return std::clamp(taps_before(inputs, o), first_tap(o), taps); }

  /// The outputs all of whose taps lie inside are [first_whole(), last_whole()).
  std::int64_t first_whole() const { return std::min(outputs, origin < 0 ? quotient(stride - 1 - origin, stride) : 0); }
  std::int64_t last_whole() const {
    const std::int64_t last = inputs - 1 - (taps - 1) * step - origin;  // where the last of them may begin
    return std::max(first_whole(), last < 0 ? 0 : std::min(outputs, quotient(last, stride) + 1));
  }

 private:
  /// How many taps of output o, if it had as many as needed, lie before this input.
  std::int64_t taps_before(std::int64_t input, std::int64_t o) const {
    return quotient(std::max<std::int64_t>(0, input - origin - o * stride + step - 1), step);
  }
  /// Divisions by 1 are left out: in a short row of outputs they took a fifth of the time.
  static std::int64_t quotient(std::int64_t dividend, std::int64_t divisor) { return divisor == 1 ? dividend : dividend / divisor; }
};

/// The rows or the columns of a convolution's forward: `padding` before the inputs.
inline Axis forward_axis(std::int64_t inputs, std::int64_t outputs, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                         std::int64_t dilation) {
  return {.inputs = inputs, .outputs = outputs, .origin = -padding, .stride = stride, .step = dilation, .taps = kernel};
}

/// The correlations that give a gradient of `inputs` elements from `outputs` gradients of a convolution's outputs. There is one for
/// each remainder by the stride: its elements meet the same taps.
inline std::vector<Axis> gradient_axes(std::int64_t inputs, std::int64_t outputs, std::int64_t kernel, std::int64_t stride,
                                       std::int64_t padding, std::int64_t dilation) {
  const std::int64_t common = std::gcd(stride, dilation), every = stride / common;  // of the taps, every so manieth
  std::vector<Axis> axes;
  for (std::int64_t to = 0; to < std::min(stride, inputs); ++to) {
    const std::int64_t position = to + padding;
    std::int64_t first = 0;
    while (first < std::min(kernel, every) && (position - first * dilation) % stride != 0) ++first;
    const std::int64_t taps = first < std::min(kernel, every) ? (kernel - 1 - first) / every + 1 : 0;
    const std::int64_t last = first + std::max<std::int64_t>(0, taps - 1) * every;  // it reads the first output
    axes.push_back({.inputs = outputs,
                    .outputs = (inputs - to + stride - 1) / stride,
                    .origin = taps ? (position - last * dilation) / stride : 0,
                    .stride = 1,
                    .step = dilation / common,
                    .taps = taps,
                    .to = to,
                    .to_step = stride,
                    .weight = last,
                    .weight_step = -every});
  }
  return axes;
}

}  // namespace gpucnn::kernels::cpu
