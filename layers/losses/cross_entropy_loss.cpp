#include <gpucnn/layers/losses/cross_entropy_loss.h>

#include <stdexcept>
#include <string_view>
#include <vector>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/copy/labels.h>
#include <gpucnn/kernels/loss/softmax_cross_entropy.h>

namespace gpucnn {

CrossEntropyLoss::CrossEntropyLoss(const CrossEntropyLossOptions& options) : options_(options), weight_(options.weight) {
  const double smoothing = options.label_smoothing;
  if (!(smoothing >= 0 && smoothing <= 1)) {
    throw std::invalid_argument(formatted("CrossEntropyLoss: label_smoothing must be in [0, 1], got {}", smoothing));
  }
  const Tensor& weight = options.weight;
  if (weight.defined() && (weight.dtype() != DType::f32 || weight.rank() != 1)) {
    throw std::invalid_argument(
        formatted("CrossEntropyLoss: weight must be f32 [C], got {} {}", name_of(weight.dtype()), weight.shape().string()));
  }
}

bool CrossEntropyLoss::is_plain() const noexcept {
  return !options_.weight.defined() && options_.label_smoothing == 0 && options_.reduction == Reduction::mean;
}

Tensor CrossEntropyLoss::prepare(const Tensor& logits, const Tensor& targets) const {
  const bool probable = targets.defined() && targets.dtype() == DType::f32 && targets.rank() == 2;
  const bool fits = probable ? logits.shape() == targets.shape() : targets.rank() == 1 && logits.rank() == 2;
  if (logits.rank() != 2 || !fits || logits.dim(0) != targets.dim(0)) {
    const auto words = [](const Tensor& tensor) { return tensor.defined() ? tensor.shape().string() : "undefined"; };
    throw std::invalid_argument(
        formatted("CrossEntropyLoss: expects logits [N, C] and labels [N] or probabilities [N, C], got {} and {}", words(logits),
                  words(targets)));
  }
  const Tensor& weight = weight_.on(logits.device());
  if (weight.defined() && weight.dim(0) != logits.dim(1)) {
    throw std::invalid_argument(formatted("CrossEntropyLoss: the weight is for {} classes, the logits {} have {}", weight.dim(0),
                                          logits.shape().string(), logits.dim(1)));
  }
  if (probable) {
    if (options_.ignore_index >= 0) {
      throw std::invalid_argument(
          formatted("CrossEntropyLoss: probabilities have no label to ignore, but ignore_index is {}", options_.ignore_index));
    }
    return targets;
  }
  Stream stream(logits.device());
  Tensor classes = Tensor::empty(targets.shape(), DType::i32, logits.device());
  try {
    kernels::to_labels(targets, logits.dim(1), options_.ignore_index, classes, stream);
  } catch (const std::invalid_argument& refusal) {
    std::string_view words = refusal.what();
    if (constexpr std::string_view kKernel = "to_labels: "; words.starts_with(kKernel)) words.remove_prefix(kKernel.size());
    throw std::invalid_argument(formatted("CrossEntropyLoss: {}", words));
  }
  return classes;
}

bool CrossEntropyLoss::takes_unprepared(const Tensor& targets) const {
  return targets.dtype() == DType::i32 && targets.rank() == 1;
}

bool CrossEntropyLoss::takes_probabilities(const Tensor& targets) const {
  return targets.dtype() == DType::f32 && targets.rank() == 2;
}

std::optional<double> CrossEntropyLoss::weight_of(const Tensor& targets) const {
  if (!options_.weight.defined() || takes_probabilities(targets)) return {};
  const std::vector<float> weights = options_.weight.to_vector<float>();
  double sum = 0;
  for (const std::int32_t label : targets.to_vector<std::int32_t>()) {
    if (label != options_.ignore_index) sum += static_cast<double>(weights[static_cast<std::size_t>(label)]);
  }
  return sum;
}

Tensor CrossEntropyLoss::forward(const Tensor& logits, const Tensor& targets, Tensor& dlogits) const {
  Stream stream(logits.device());
  Tensor loss = Tensor::empty({}, DType::f32, logits.device());
  CrossEntropyLossOptions options = options_;
  options.weight = weight_.on(logits.device());
  if (is_plain() && targets.dtype() == DType::i32) {  // faster
    kernels::softmax_cross_entropy(logits, targets, options.ignore_index, loss, dlogits, stream);
  } else {
    kernels::cross_entropy(logits, targets, options, loss, dlogits, stream);
  }
  return loss;
}

}  // namespace gpucnn
