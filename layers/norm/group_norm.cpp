#include <gpucnn/layers/norm/group_norm.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/norm/group_norm.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

GroupNorm::GroupNorm(int num_groups, int num_channels, GroupNormOptions options)
    : num_groups_(num_groups), num_channels_(num_channels), options_(options) {
  if (num_groups < 1 || num_channels < 1 || num_channels % num_groups != 0) {
    throw std::invalid_argument(formatted(
        "GroupNorm: num_groups must be positive and divide num_channels, got {} groups of {} channels", num_groups, num_channels));
  }
  kernels::check_value("GroupNorm", "eps", options.eps, options.eps >= 0 && kernels::finite_in_f32(options.eps),
                       "finite in f32 and at least 0");
  if (!options.affine) return;
  weight_ = Parameter({num_channels}, Init::constant(1));
  bias_ = Parameter({num_channels}, Init::constant(0));
}

Shape GroupNorm::output_shape(const Shape& x) const {
  if (x.rank() != 4 || x[1] != num_channels_) {
    throw std::invalid_argument(formatted("expects [N, {}, H, W], got {}", num_channels_, x.string()));
  }
  if (x.numel() == num_groups_) {
    throw std::invalid_argument(formatted("expected more than 1 value per group, got {}", x.string()));
  }
  return x;
}

Tensor GroupNorm::forward(const Tensor& x, Context& context) const {
  Tensor statistics = Tensor::empty({4, x.dim(0) * num_groups_}, DType::f32, x.device());
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const bool affine = options_.affine;
  kernels::group_norm(x, num_groups_, options_.eps, affine ? weight_.value() : Tensor{}, affine ? bias_.value() : Tensor{},
                      statistics, y, context.stream());
  context.save(x, statistics);
  return y;
}

int GroupNorm::add_to(GraphBuilder& graph, int x) const {
  return graph.add(*this, op::GroupNorm{num_groups_, options_.eps, GraphBuilder::tensor(weight_), GraphBuilder::tensor(bias_)}, x);
}

Tensor GroupNorm::gradients(const Tensor& dy, Context& context) {
  const Tensor &x = context.saved(0), &statistics = context.saved(1);
  auto [dweight, add_weight] = options_.affine ? weight_.grad_target() : Parameter::GradTarget{};
  auto [dbias, add_bias] = options_.affine ? bias_.grad_target() : Parameter::GradTarget{};
  Tensor dx = context.input_grad() ? Tensor::empty(x.shape(), x.dtype(), x.device()) : Tensor{};
  kernels::group_norm_backward(x, num_groups_, statistics, options_.affine ? weight_.value() : Tensor{}, dy, {add_weight, add_bias},
                               dweight, dbias, dx, context.stream());
  return dx;
}

void GroupNorm::members(Members& m) {
  m("weight", weight_);
  m("bias", bias_);
}

}  // namespace gpucnn
