#pragma once

#include <array>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/muon/muon.h>

/// The twins of what Muon does.
namespace gpucnn::kernels {

GPUCNN_TWINS(void muon_direction(const Tensor& dweight, const MuonStep& step, Tensor& momentum_buffer, Tensor& direction,
                                 Stream& stream))
GPUCNN_TWINS(void muon_update(const Tensor& direction, const MuonStep& step, Tensor& weight, Stream& stream))
GPUCNN_TWINS(void normalize_matrix(const Tensor& x, double eps, Tensor& y, Stream& stream))
GPUCNN_TWINS(void newton_schulz_polynomial(const Tensor& gram, const Tensor& square, const std::array<double, 3>& coefficients,
                                           Tensor& y, Stream& stream))

}  // namespace gpucnn::kernels
