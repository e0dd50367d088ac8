#pragma once

#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/conv2d_gemm/packed_weights.h>
#include <gpucnn/kernels/conv2d_gemm/pixel_tasks.h>

namespace gpucnn::kernels::cpu {

/// The gradients of a convolution's weights and bias by implicit GEMM: sums over pixels of dy by what its terms read. Pixels are
/// split into shards by sizes only. A shard's sums are made in order, and so are those over shards.
class WeightGradient {
 public:
  /// `c`: the convolution's forward.
  explicit WeightGradient(const Correlation& c);

  /// dweight: [K, kH, kW, C]; dbias: [K], or null without a bias. Each is added to what is there if so asked.
  void run(const Tensor& x, const Tensor& dy, bool add_weights, float* dweight, bool add_bias, float* dbias) const;

 private:
  struct Part;
  struct Read;
  struct Copies;
  Part part(std::int64_t task) const;
  Read read(std::int64_t chunk, const float* x, const float* dy) const;
  void copy_chunk(std::int64_t chunk, std::int64_t group, const float* x, float* to) const;
  void add_chunk(const Part& part, std::int64_t chunk, const float* x, const float* dy, const Copies& copies, float* sums,
                 double* bias_sums) const;
  /// The gradients from their sums, in one shard's row or, in double, in those of all shards.
  void finish_weights(const float* sums, bool adds, float* dweight) const;
  void finish_bias(const double* sums, bool adds, float* dbias) const;

  Correlation c_;
  InputWindow window_;
  PixelTasks chunks_;
  std::int64_t panels_;                              // of all groups
  std::int64_t shards_, panel_splits_, run_splits_;  // tasks: some panels and runs of a shard
};

}  // namespace gpucnn::kernels::cpu
