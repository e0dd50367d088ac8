#pragma once

#include <gpucnn/layers/losses/loss.h>

namespace gpucnn {

/// The mean over the batch of -log softmax(logits)[n, labels[n]]: PyTorch's CrossEntropyLoss with its defaults. logits: f32 [N, C];
/// targets: the labels, i32, i64 or u8 [N] in [0, C). A call throws `std::invalid_argument` for other shapes or dtypes and for a
/// label outside.
class GPUCNN_API CrossEntropyLoss : public Loss {
 public:
  Tensor prepare(const Tensor& logits, const Tensor& labels) const override;
  bool takes_unprepared(const Tensor& labels) const override;

 protected:
  Tensor forward(const Tensor& logits, const Tensor& labels, Tensor& dlogits) const override;
};

}  // namespace gpucnn
