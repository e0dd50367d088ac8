#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/image/ordered_batch.h>

namespace gpucnn {

/// What a training step does before and behind a model's forward, for the model to do in the kernels of its first and last layers
/// where it has some for it. It leaves the rest to the step.
struct StepEnds {
  /// The mean of softmax cross-entropy over the rows that are not ignored.
  struct Loss {
    Tensor labels;  // i32 [N], on the model's device
    std::int32_t ignore_index;
    bool wants_value;  // whether `value` is needed

    // Undefined unless the model has taken the loss:
    Tensor parts = {};     // what its kernel's blocks made of the loss, for StepTail
    Tensor value = {};     // f32 []
    Tensor gradient = {};  // to give to backward: only its shape counts, its memory is not initialised

    bool is_taken() const noexcept { return parts.defined(); }
  };

  /// The model's input is the `batch` of this, still to be gathered. Null: it is there.
  const kernels::OrderedBatch* gathers = nullptr;
  std::optional<Loss> loss = {};
  /// Images of the global batch before this one's first, where several processes have a part each: see Context::random.
  std::int64_t images_before = 0;
  /// False: this process has none of the batch's images, and takes some that another has, so that it makes the same calls. What it
  /// computes of them must not change what the others compute: see SyncBatchNorm.
  bool counts = true;
};

}  // namespace gpucnn
