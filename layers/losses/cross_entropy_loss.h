#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// The mean over the batch of -log softmax(logits)[n, labels[n]]: PyTorch's CrossEntropyLoss with its defaults. One thread at a
/// time.
class GPUCNN_API CrossEntropyLoss {
 public:
  /// logits: f32 [N, C], labels: i32, i64 or u8 [N] in [0, C) -> loss: f32 []. Throws `std::invalid_argument` for other shapes or
  /// dtypes and for a label outside.
  Tensor operator()(const Tensor& logits, const Tensor& labels);

  /// The gradient of the logits, [N, C], of the last call. Throws `std::logic_error` a second time, or without a call.
  Tensor backward();

 private:
  Tensor dlogits_;  // made with the loss, in the same pass
};

}  // namespace gpucnn
