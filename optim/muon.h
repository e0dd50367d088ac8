#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include <gpucnn/optim/adamw.h>
#include <gpucnn/optim/optimizer.h>

namespace gpucnn {

/// PyTorch's `adjust_lr_fn`: what the learning rate of a matrix [R, C] is multiplied by.
enum class AdjustLr {
  original,            ///< sqrt(max(1, R / C)), as published
  match_rms_adamw,     ///< 0.2 sqrt(max(R, C)): updates are as large as AdamW's, whose rate then serves here
  spectral_unclamped,  ///< sqrt(R / C)
};

/// PyTorch's names, order and defaults, then ours. Every number must be finite in f32.
struct MuonOptions {
  double lr = 1e-3;           ///< >= 0
  double weight_decay = 0.1;  ///< >= 0; a step first multiplies weights by 1 - lr * weight_decay
  double momentum = 0.95;     ///< >= 0
  bool nesterov = true;       ///< looks a step ahead
  std::array<double, 3> ns_coefficients = {3.4445, -4.775, 2.0315};  ///< a, b, c of the Newton-Schulz iteration
  double eps = 1e-7;                                                 ///< >= 0; the least norm that a matrix is divided by
  int ns_steps = 5;                                                  ///< in [0, 100)
  AdjustLr adjust_lr_fn = AdjustLr::original;
  bool use_muon = true;     ///< false: AdamW for the whole group, as is published for a network's last layer
  AdamWOptions adamw = {};  ///< for what is no matrix, `maximize` too
};

/// Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), as `torch.optim.Muon`, and AdamW in one. Muon
/// has the parameters of rank 2 and more, each as a matrix [R, C] of its first extent and the product of the others: so a
/// convolution's weights are [out, in * kh * kw]. AdamW has the others: biases, and the scales and shifts of normalizations.
///
///     m = m + (1 - momentum) * (g - m)
///     O = newton_schulz(nesterov ? g + momentum * (m - g) : m)
///     w = w * (1 - lr * weight_decay) - lr * adjust_lr_fn(R, C) * O
///
/// newton_schulz(x) divides x by max(|x|, eps), |x| its Frobenius norm. Then it takes `ns_steps` times, with A = x x^T,
///
///     x = a * x + (b * A + c * A * A) * x
///
/// or the same with the transpose of a tall x. This brings all singular values near 1, from 0.68 to 1.21, unless they are tiny
/// beside the largest. A zero gradient gives O = 0. PyTorch computes it in bf16, this in f32: results differ by bf16's rounding.
///
/// Each group of `groups` becomes two of the optimizer. Of n groups, number g is the matrices of group g, with `lr` and `momentum`.
/// Number n + g is the rest, with `adamw.lr` and `adamw.betas.first`. The state is momentum_buffer for the former, AdamW's for the
/// latter.
class GPUCNN_API Muon : public Optimizer {
 public:
  /// How many groups can be given.
  static constexpr std::size_t kMaxMuonGroups = kMaxGroups / 2;

  /// Throws `std::invalid_argument` for options out of their bounds, or more than kMaxMuonGroups groups.
  explicit Muon(std::vector<Parameter> parameters, const MuonOptions& options = {});
  explicit Muon(const std::vector<ParameterGroup<MuonOptions>>& groups);
  ~Muon() override;
  Muon(Muon&&) noexcept;
  Muon& operator=(Muon&&) noexcept;

 private:
  struct Matrices;

  static std::vector<ParameterGroup<Settings>> split(const std::vector<ParameterGroup<MuonOptions>>& groups);
  void check_momentum(std::size_t group, double momentum) const override;
  void update(const Range& range, Stream& stream) override;
  void update_by_adamw(const Range& range, Stream& stream);

  std::vector<MuonOptions> options_;  // of the groups that were given
  std::unique_ptr<Matrices> matrices_;
};

}  // namespace gpucnn
