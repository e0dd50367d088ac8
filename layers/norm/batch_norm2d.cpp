#include <gpucnn/layers/norm/batch_norm2d.h>

#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/norm/batch_norm2d.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

BatchNorm2d::BatchNorm2d(int num_features, BatchNorm2dOptions options) : num_features_(num_features), options_(options) {
  if (num_features < 1) {
    throw std::invalid_argument(formatted("BatchNorm2d: num_features must be at least 1, got {}", num_features));
  }
  kernels::check_value("BatchNorm2d", "eps", options.eps, options.eps >= 0 && kernels::finite_in_f32(options.eps),
                       "finite in f32 and at least 0");
  const double momentum = options.momentum.value_or(0);
  kernels::check_value("BatchNorm2d", "momentum", momentum, kernels::finite_in_f32(momentum), "finite in f32");
  if (options.affine) {
    weight_ = Parameter({num_features}, Init::constant(1));
    bias_ = Parameter({num_features}, Init::constant(0));
  }
  if (options.track_running_stats) {
    running_mean_ = Tensor::zeros({num_features});
    running_var_ = Tensor::full({num_features}, 1);
    num_batches_tracked_ = Tensor::zeros({}, DType::i64);
  }
}

Shape BatchNorm2d::output_shape(const Shape& x) const {
  if (x.rank() != 4 || x[1] != num_features_) {
    throw std::invalid_argument(formatted("expects [N, {}, H, W], got {}", num_features_, x.string()));
  }
  return x;
}

/// Writes kept.statistics of the batch, and kept.values if x is a part of that; in training the running ones, too.
void BatchNorm2d::use_own_statistics(Kept& kept, Context& context) const {
  Stream& stream = context.stream();
  const bool tracks = context.training() && options_.track_running_stats;
  Tensor mean = running_mean_, var = running_var_, batches = num_batches_tracked_;
  const auto require_several = [&](std::int64_t values) {
    if (values != 1) return;
    throw std::invalid_argument(formatted("{}: expected more than 1 value per channel, got {}", label(), kept.x.shape().string()));
  };
  if (sum_ && context.training()) {
    kernels::PartOfBatch part{sum_, Tensor::empty({}, DType::i64, kept.x.device()), context.counts()};
    kernels::batch_norm2d_statistics(kept.x, options_.eps, running_mean_, part, kept.statistics, stream);
    kept.values = part.values;
    if (kept.x.device() == Device::cpu()) require_several(*std::as_const(part.values).data<std::int64_t>());
    if (tracks) kernels::batch_norm2d_update(kept.statistics, kept.values, options_.momentum, mean, var, batches, stream);
    return;
  }
  const std::int64_t values = kept.x.numel() / num_features_;
  require_several(values);
  if (values > 0) kernels::batch_norm2d_statistics(kept.x, options_.eps, kept.statistics, stream);
  if (tracks) kernels::batch_norm2d_update(kept.statistics, values, options_.momentum, mean, var, batches, stream);
}

Tensor BatchNorm2d::compute(const Tensor& x, const kernels::NormEpilogue& epilogue, Kept& kept, Context& context) const {
  Stream& stream = context.stream();
  Tensor statistics = Tensor::empty({4, num_features_}, DType::f32, x.device());
  kept = {x, statistics, is_fixed(context)};
  if (kept.fixed) {
    kernels::batch_norm2d_statistics(running_mean_, running_var_, options_.eps, statistics, stream);
  } else {
    use_own_statistics(kept, context);
  }
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  const bool affine = options_.affine;
  kernels::batch_norm2d(x, statistics, affine ? weight_.value() : Tensor{}, affine ? bias_.value() : Tensor{}, epilogue, y, stream);
  return y;
}

Tensor BatchNorm2d::forward(const Tensor& x, Context& context) const {
  Kept kept;
  Tensor y = compute(x, {}, kept, context);
  context.save(kept.x, kept.statistics, kept.values);
  return y;
}

Tensor BatchNorm2d::differentiate(const Kept& kept, kernels::NormEpilogueBackward epilogue, const Tensor& dy, Context& context) {
  auto [dweight, add_weight] = options_.affine ? weight_.grad_target() : Parameter::GradTarget{};
  auto [dbias, add_bias] = options_.affine ? bias_.grad_target() : Parameter::GradTarget{};
  Tensor dx = context.input_grad() ? Tensor::empty(dy.shape(), dy.dtype(), dy.device()) : Tensor{};
  if (options_.affine) epilogue.bias = bias_.value();
  const kernels::PartOfBatch part{sum_, kept.values, context.counts()};
  if (kept.values.defined()) epilogue.part = &part;
  kernels::batch_norm2d_backward(kept.x, kept.statistics, options_.affine ? weight_.value() : Tensor{}, dy, kept.fixed,
                                 std::move(epilogue), {add_weight, add_bias}, dweight, dbias, dx, context.stream());
  return dx;
}

int BatchNorm2d::add_to(GraphBuilder& graph, int x) const {
  const op::BatchNorm2d norm{options_.eps, GraphBuilder::tensor(weight_), GraphBuilder::tensor(bias_),
                             GraphBuilder::tensor(running_mean_), GraphBuilder::tensor(running_var_)};
  return graph.add(*this, norm, x);
}

Tensor BatchNorm2d::gradients(const Tensor& dy, Context& context) {
  return differentiate({context.saved(0), context.saved(1), is_fixed(context), context.saved(2)}, {}, dy, context);
}

std::unique_ptr<Module> BatchNorm2d::copy() const {
  auto twin = std::make_unique<BatchNorm2d>(num_features_, options_);
  twin->sum_ = sum_;
  return twin;
}

kernels::FixedNorm BatchNorm2d::fixed() const {
  const bool affine = options_.affine;
  return {running_mean_, running_var_, affine ? weight_.value() : Tensor{}, affine ? bias_.value() : Tensor{}, options_.eps};
}

void BatchNorm2d::members(Members& m) {
  m("weight", weight_);
  m("bias", bias_);
  m("running_mean", running_mean_);
  m("running_var", running_var_);
  m("num_batches_tracked", num_batches_tracked_);
}

}  // namespace gpucnn
