#pragma once

#include <gpucnn/core/device.h>
#include <gpucnn/core/gpu/step_state.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// The StepState in device memory, and what it holds once the queued work is done: the host writes it only where it would be wrong.
class StepStateMirror {
 public:
  explicit StepStateMirror(Device device) : memory_(Tensor::zeros({sizeof(StepState)}, DType::u8, device)) {}

  /// In device memory.
  StepState* on_device() { return reinterpret_cast<StepState*>(memory_.bytes()); }

  /// Makes it `now`, but for the failure that it may hold.
  void set(const StepState& now, Stream& stream);
  /// Makes it `now`, and forgets the failure.
  void reset(const StepState& now, Stream& stream);
  /// What the last kernel of a step of `images` images does to it.
  void advance(std::int64_t images, bool counts_forward) noexcept;

 private:
  Tensor memory_;
  StepState held_;
};

}  // namespace gpucnn
