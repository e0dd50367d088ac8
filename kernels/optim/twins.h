#pragma once

#include <array>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/optim/adam.h>
#include <gpucnn/kernels/optim/moving_average.h>
#include <gpucnn/kernels/optim/rmsprop.h>
#include <gpucnn/kernels/optim/sgd.h>

/// The twins of optimizers' updates.
namespace gpucnn::kernels {

GPUCNN_TWINS(void adam(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, Tensor& max_v,
                       Stream& stream))
GPUCNN_TWINS(void rmsprop(const Tensor& dweight, const RmspropStep& step, Tensor& weight, RmspropState& state, Stream& stream))
GPUCNN_TWINS(void sgd(const Tensor& dweight, const SgdStep& step, Tensor& weight, Tensor& velocity, Stream& stream))
GPUCNN_TWINS(void moving_average(const Tensor& x, double decay, const Tensor& n_averaged, Tensor& average, Stream& stream))
GPUCNN_TWINS(void count_average(Tensor& n_averaged, Stream& stream))

}  // namespace gpucnn::kernels
