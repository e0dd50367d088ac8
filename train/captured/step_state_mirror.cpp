#include <gpucnn/train/captured/step_state_mirror.h>

#include <algorithm>

#include <gpucnn/train/captured/step_state_kernels.h>

namespace gpucnn {
namespace {

bool same(const StepState& a, const StepState& b) {
  return a.random_step == b.random_step && a.epoch == b.epoch && a.first == b.first && a.updates == b.updates &&
         a.steps == b.steps && std::ranges::equal(a.lr, b.lr) && std::ranges::equal(a.momentum, b.momentum);
}

}  // namespace

void StepStateMirror::set(const StepState& now, Stream& stream) {
  if (!same(held_, now)) gpu::set_step_state(on_device(), now, false, stream);
  held_ = now;
}

void StepStateMirror::reset(const StepState& now, Stream& stream) {
  gpu::set_step_state(on_device(), now, true, stream);
  held_ = now;
}

void StepStateMirror::advance(std::int64_t images, bool counts_forward) noexcept {
  if (counts_forward) ++held_.random_step;
  ++held_.updates;
  ++held_.steps;
  held_.first += images;
}

}  // namespace gpucnn
