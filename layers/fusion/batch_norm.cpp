#include <utility>

#include <gpucnn/layers/fusion/pattern.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

namespace gpucnn {
namespace {

/// The ReLU is the epilogue of the normalisation's pass over x, and its mask is taken within the passes of the backward, which
/// compute it again from x: so y is not kept, nor what came before the ReLU.
class BatchNormRelu final : public Stage {
 public:
  BatchNormRelu(BatchNorm2d& norm, ActivationLayer& relu) : norm_(norm), relu_(relu) {}

  Tensor forward(const Tensor& x, Context& context) override {
    Context norm = context.enter(norm_);
    context.enter(relu_);
    BatchNorm2d::Kept kept;
    Tensor y = norm_.compute(x, {.relu = true}, kept, norm);
    if (context.keeps()) kept_ = std::move(kept);
    return y;
  }

  Tensor backward(const Tensor& dy, Context& context) override {
    const BatchNorm2d::Kept kept = std::exchange(kept_, {});
    Context norm = context.enter(norm_);
    return norm_.differentiate(kept, {.relu = true}, dy, norm);
  }

 private:
  BatchNorm2d& norm_;
  ActivationLayer& relu_;
  BatchNorm2d::Kept kept_;
};

}  // namespace

const Pattern kBatchNorm{
    .match = [](std::span<Module* const> layers) -> std::size_t {
      return layer_at<BatchNorm2d>(layers, 0) && is_relu(layers, 1) ? 2 : 0;
    },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> {
      return std::make_unique<BatchNormRelu>(*layer_at<BatchNorm2d>(layers, 0), *activation_at(layers, 1));
    },
};

}  // namespace gpucnn
