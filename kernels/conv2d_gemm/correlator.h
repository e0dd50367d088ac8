#pragma once

#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/common/seen_values.h>
#include <gpucnn/kernels/conv2d_gemm/packed_weights.h>
#include <gpucnn/kernels/conv2d_gemm/pixel_tasks.h>

namespace gpucnn::kernels::cpu {

/// Runs a correlation by implicit GEMM. It keeps the packed weights, and packs again where they have changed. It serves one thread
/// at a time.
class Correlator {
 public:
  Correlator(const Correlation& c, const WeightLayout& layout);

  bool is_padded() const { return window_.copied(); }

  /// What is done to a task's outputs while they are in cache. Other activations than ReLU are for correlations of all pixels.
  struct Epilogue {
    Activation forward;
    Activation backward = {};     // of what `made`, whose layout is y's: y is multiplied by its derivative
    const float* made = nullptr;  // null: nothing
  };
  /// y = x correlated with the weights + bias, and the epilogue; `bias` may be null. Only its own pixels of y are written.
  void run(const Tensor& x, const Tensor& weight, const float* bias, const Epilogue& epilogue, Tensor& y);

 private:
  void pack(const Tensor& weight);
  void finish(const PixelTasks::Task& task, std::int64_t first, std::int64_t last, const Epilogue& epilogue, const float* made,
              float* y) const;

  Correlation c_;
  WeightLayout layout_;
  InputWindow window_;
  PixelTasks tasks_;
  std::int64_t panels_, splits_;  // of all groups; tasks that share pixels, each with some of the panels
  SeenValues seen_;               // the weights that packed_ was made from
  Tensor packed_;
  Tensor bias_;  // [panels][kGemmPanel]
};

}  // namespace gpucnn::kernels::cpu
