#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <gpucnn/kernels/norm/fold_norm.h>
#include <gpucnn/kernels/norm/norm_epilogue.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

struct BatchNorm2dOptions {
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  ///< nullopt: running statistics are the mean of all batches
  bool affine = true;                    ///< whether there are weight and bias
  bool track_running_stats = true;       ///< whether eval uses what training gathered, and not the batch
};

/// Batch normalisation, y = (x - mean) / sqrt(var + eps) * weight + bias in each channel of [N, num_features, H, W], as PyTorch's:
/// Ioffe and Szegedy, "Batch Normalization" (2015). In training, and where nothing is tracked, mean and biased variance are those
/// of the batch; in eval mode and in `predict` they are running_mean and running_var.
///
/// Parameters `weight` and `bias`, [num_features], begin at 1 and 0. Buffers `running_mean`, from 0, `running_var`, from 1, and
/// `num_batches_tracked`, i64 [], change in forwards in training: running = (1 - momentum) running + momentum * batch, with the
/// unbiased variance. `init` leaves them as they are.
///
/// A batch of one value per channel throws `std::invalid_argument` where its own statistics are wanted. Only where it is made of
/// parts on several GPUs nobody knows in time; then its variance is 0.
class GPUCNN_API BatchNorm2d : public Module {
 public:
  /// Throws `std::invalid_argument` unless num_features > 0, eps >= 0 and momentum are finite in f32.
  explicit BatchNorm2d(int num_features, BatchNorm2dOptions options = {});

  Shape output_shape(const Shape& x) const override;
  void members(Members& m) override;

  Parameter weight() const { return weight_; }
  Parameter bias() const { return bias_; }
  const BatchNorm2dOptions& options() const noexcept { return options_; }

  /// For SyncBatchNorm: statistics of training are those of a batch of which several processes have a part each. `sum` is called
  /// once in each forward and once in each backward that returns a gradient of x, by all of them in the same order. An empty `sum`:
  /// those of this process's batch.
  void sum_statistics_by(kernels::SumOverParts sum) { sum_ = std::move(sum); }
  bool sums_statistics() const noexcept { return static_cast<bool>(sum_); }

  /// What the backward needs of the forward, beside what it knows of the epilogue.
  struct Kept {
    Tensor x, statistics;
    bool fixed = false;  ///< whether the statistics are not those of x
    Tensor values = {};  ///< see PartOfBatch; undefined: x is no part
  };
  /// For containers that join layers: epilogue(batch_norm2d(x)) in this layer's part of a call, `context`. Writes `kept`.
  Tensor compute(const Tensor& x, const kernels::NormEpilogue& epilogue, Kept& kept, Context& context) const;
  /// For these too: adds the gradients of the parameters, and returns that of x if it is wanted, from that of y. The bias of
  /// `epilogue` is this layer's.
  Tensor differentiate(const Kept& kept, kernels::NormEpilogueBackward epilogue, const Tensor& dy, Context& context);

  /// For these too: whether the statistics are those that training gathered in this layer's part of a call, `context`.
  bool is_fixed(const Context& context) const { return !context.training() && options_.track_running_stats; }
  /// And then, if they are: what it does, for `kernels::fold_norm`.
  kernels::FixedNorm fixed() const;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override;

 private:
  void use_own_statistics(Kept& kept, Context& context) const;

  int num_features_;
  BatchNorm2dOptions options_;
  Parameter weight_, bias_;
  Tensor running_mean_, running_var_, num_batches_tracked_;
  kernels::SumOverParts sum_;  // empty: nobody has another part
};

}  // namespace gpucnn
