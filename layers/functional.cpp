#include <gpucnn/layers/functional.h>

#include <stdexcept>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/loss/softmax.h>
#include <gpucnn/kernels/metrics/argmax.h>

namespace gpucnn {
namespace {

void check_logits(const char* call, const Tensor& logits) {
  if (!logits.defined() || logits.rank() != 2) {
    throw std::invalid_argument(formatted("{}: expects logits [N, C], got {}", call, logits.shape().string()));
  }
}

}  // namespace

Tensor softmax(const Tensor& logits) {
  check_logits("softmax", logits);
  Stream stream(logits.device());
  Tensor probabilities = Tensor::empty(logits.shape(), DType::f32, logits.device());
  kernels::softmax(logits, probabilities, stream);
  return probabilities;
}

Tensor argmax(const Tensor& logits) {
  check_logits("argmax", logits);
  Stream stream(logits.device());
  Tensor classes = Tensor::empty({logits.dim(0)}, DType::i64, logits.device());
  kernels::argmax(logits, classes, stream);
  return classes;
}

}  // namespace gpucnn
