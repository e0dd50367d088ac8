#include <gpucnn/kernels/conv2d_gemm/packed_weights.h>

#include <algorithm>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/copy/transpose.h>

namespace gpucnn::kernels::cpu {
namespace {

/// A tap's channels for up to kGemmPanel outputs. Either outputs or channels lie side by side.
void pack_tap(const WeightLayout& layout, const float* from, std::int64_t channels, std::int64_t outputs, float* to) {
  if (layout.output == 1) {
    for (std::int64_t c = 0; c < channels; ++c) std::copy_n(from + c * layout.channel, outputs, to + c * kGemmPanel);
  } else {
    transpose(from, layout.output, outputs, channels, to, kGemmPanel);
  }
  if (outputs == kGemmPanel) return;
  for (std::int64_t c = 0; c < channels; ++c) std::fill(to + c * kGemmPanel + outputs, to + (c + 1) * kGemmPanel, 0.0F);
}

}  // namespace

void pack_weights(const Correlation& c, const WeightLayout& layout, const float* weight, float* to) {
  const std::int64_t panels = panels_of(c.K), taps = c.rows.taps * c.columns.taps, tap_floats = c.C * kGemmPanel;
  parallel_for(c.groups * panels * taps, [=, &c](std::int64_t task) {
    const std::int64_t tap = task % taps, k = task / taps % panels * kGemmPanel, group = task / taps / panels;
    const std::int64_t r = c.rows.weight + tap / c.columns.taps * c.rows.weight_step;
    const std::int64_t s = c.columns.weight + tap % c.columns.taps * c.columns.weight_step;
    pack_tap(layout, weight + group * layout.group + r * layout.row_of_taps + s * layout.tap + k * layout.output, c.C,
             std::min(kGemmPanel, c.K - k), to + task * tap_floats);
  });
}

}  // namespace gpucnn::kernels::cpu
