#include <gpucnn/layers/fusion/batch_norm.h>

#include <utility>

#include <gpucnn/layers/fusion/pattern.h>

namespace gpucnn {
namespace {

/// A ReLU behind it is the epilogue of the normalisation's pass over x. Its mask is taken within the passes of the backward, which
/// compute it again from x: so y is not kept, nor what came before the ReLU.
///
/// Without one, a residual block's sum and its ReLU are the epilogue. The backward's first pass writes the sum's gradient, which
/// the second one and the shortcut read.
class BatchNorm final : public AddingStage {
 public:
  BatchNorm(BatchNorm2d& norm, ActivationLayer* relu) : norm_(norm), relu_(relu) {}

  AddingStage* adding() override { return relu_ ? nullptr : this; }

  bool gives_y_away() const override { return true; }

  Tensor forward(const Tensor& x, Context& context) override { return run(x, {.relu = relu_ != nullptr}, context); }

  Tensor backward(const Tensor& dy, Context& context) override { return run_backward({.relu = relu_ != nullptr}, dy, context); }

  Tensor forward_sum(const Tensor& x, const Tensor& addend, Context& context) override {
    Tensor y = run(x, {.addend = addend, .relu = true}, context);
    if (context.keeps()) y_ = y;
    return y;
  }

  Tensor backward_sum(const Tensor& dy, Tensor& dsum, Context& context) override {
    return run_backward({.relu = true, .y = std::exchange(y_, {}), .dsum = dsum}, dy, context);
  }

 private:
  Tensor run(const Tensor& x, const kernels::NormEpilogue& epilogue, Context& context) {
    Context norm = context.enter(norm_);
    if (relu_) context.enter(*relu_);
    BatchNorm2d::Kept kept;
    Tensor y = norm_.compute(x, epilogue, kept, norm);
    if (context.keeps()) kept_ = std::move(kept);
    return y;
  }

  Tensor run_backward(const kernels::NormEpilogueBackward& epilogue, const Tensor& dy, Context& context) {
    const BatchNorm2d::Kept kept = std::exchange(kept_, {});
    Context norm = context.enter(norm_);
    return norm_.differentiate(kept, epilogue, dy, norm);
  }

  BatchNorm2d& norm_;
  ActivationLayer* relu_;  // null: none
  BatchNorm2d::Kept kept_;
  Tensor y_;
};

}  // namespace

std::unique_ptr<AddingStage> batch_norm_stage(BatchNorm2d& norm, ActivationLayer* relu) {
  return std::make_unique<BatchNorm>(norm, relu);
}

const Pattern kBatchNorm{
    .match = [](std::span<Module* const> layers) -> std::size_t {
      if (!layer_at<BatchNorm2d>(layers, 0)) return 0;
      return is_relu(layers, 1) ? 2 : 1;
    },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> {
      return batch_norm_stage(*layer_at<BatchNorm2d>(layers, 0), activation_at(layers, 1));
    },
};

}  // namespace gpucnn
