#include <gpucnn/layers/losses/cross_entropy_loss.h>

#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <gpucnn/core/stream.h>
#include <gpucnn/kernels/copy/labels.h>
#include <gpucnn/kernels/loss/softmax_cross_entropy.h>

namespace gpucnn {

Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& labels) {
  if (logits.rank() != 2 || labels.rank() != 1 || logits.dim(0) != labels.dim(0)) {
    throw std::invalid_argument(fmt::format("CrossEntropyLoss: expects logits [N, C] and labels [N], got {} and {}",
                                            logits.shape().string(), labels.shape().string()));
  }
  Stream stream(logits.device());
  Tensor classes = Tensor::empty(labels.shape(), DType::i32, logits.device());
  kernels::to_labels(labels, logits.dim(1), classes, stream);
  Tensor loss = Tensor::empty({}, DType::f32, logits.device());
  Tensor dlogits = Tensor::empty(logits.shape(), DType::f32, logits.device());
  kernels::softmax_cross_entropy(logits, classes, loss, dlogits, stream);
  dlogits_ = std::move(dlogits);
  return loss;
}

Tensor CrossEntropyLoss::backward() {
  if (!dlogits_.defined()) {
    throw std::logic_error("CrossEntropyLoss: backward without a loss before it; each loss serves one backward");
  }
  return std::exchange(dlogits_, Tensor{});
}

}  // namespace gpucnn
