#pragma once

#include <memory>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// y[n, c] = exp(x[n, c]) / sum over k of exp(x[n, k]), as PyTorch's Softmax(dim=1): x, y: [N, C], or [N, C, H, W], where each
/// pixel has a sum of its own. Not before CrossEntropyLoss, which takes logits.
class GPUCNN_API Softmax : public Module {
 public:
  /// Throws `std::invalid_argument` unless `dim` is 1.
  explicit Softmax(int dim = 1);

  /// x. Throws `std::invalid_argument` for other ranks than 2 and 4.
  Shape output_shape(const Shape& x) const override;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<Softmax>(); }
};

}  // namespace gpucnn
