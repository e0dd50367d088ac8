#include <gpucnn/layers/losses/cross_entropy_loss.h>

#include <stdexcept>

#include <fmt/format.h>

#include <gpucnn/core/stream.h>
#include <gpucnn/kernels/copy/labels.h>
#include <gpucnn/kernels/loss/softmax_cross_entropy.h>

namespace gpucnn {

Tensor CrossEntropyLoss::prepare(const Tensor& logits, const Tensor& labels) const {
  if (logits.rank() != 2 || labels.rank() != 1 || logits.dim(0) != labels.dim(0)) {
    throw std::invalid_argument(fmt::format("CrossEntropyLoss: expects logits [N, C] and labels [N], got {} and {}",
                                            logits.shape().string(), labels.shape().string()));
  }
  Stream stream(logits.device());
  Tensor classes = Tensor::empty(labels.shape(), DType::i32, logits.device());
  kernels::to_labels(labels, logits.dim(1), classes, stream);
  return classes;
}

bool CrossEntropyLoss::takes_unprepared(const Tensor& labels) const { return labels.dtype() == DType::i32 && labels.rank() == 1; }

Tensor CrossEntropyLoss::forward(const Tensor& logits, const Tensor& labels, Tensor& dlogits) const {
  Stream stream(logits.device());
  Tensor loss = Tensor::empty({}, DType::f32, logits.device());
  kernels::softmax_cross_entropy(logits, labels, loss, dlogits, stream);
  return loss;
}

}  // namespace gpucnn
