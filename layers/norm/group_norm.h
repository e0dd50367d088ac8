#pragma once

#include <memory>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

struct GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;  ///< whether there are weight and bias
};

/// Group normalisation of [N, num_channels, H, W], y = (x - mean) / sqrt(var + eps) * weight + bias, as PyTorch's: mean and biased
/// variance are those of num_channels / num_groups neighbouring channels of one image, in eval mode too. Wu and He, "Group
/// Normalization" (2018). Parameters `weight` and `bias`, [num_channels], begin at 1 and 0.
class GPUCNN_API GroupNorm : public Module {
 public:
  /// Throws `std::invalid_argument` unless num_groups divides num_channels, both are positive, and eps >= 0 is finite in
  /// f32.
  GroupNorm(int num_groups, int num_channels, GroupNormOptions options = {});

  /// x. Throws `std::invalid_argument` for other channels, and as PyTorch where all of x is one value per group and one image.
  Shape output_shape(const Shape& x) const override;
  void members(Members& m) override;

  Parameter weight() const { return weight_; }
  Parameter bias() const { return bias_; }
  const GroupNormOptions& options() const noexcept { return options_; }

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override { return std::make_unique<GroupNorm>(num_groups_, num_channels_, options_); }

 private:
  int num_groups_, num_channels_;
  GroupNormOptions options_;
  Parameter weight_, bias_;
};

}  // namespace gpucnn
