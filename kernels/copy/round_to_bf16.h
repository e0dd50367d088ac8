#pragma once

#include <cstdint>

#include <gpucnn/core/tensor.h>

/// What the CPU multiplies in bf16: f32 numbers that bf16 has. Their products are exact in f32, so sums by FMA are those of
/// hardware that multiplies bf16 and adds in f32.
namespace gpucnn::kernels::cpu {

/// y = x in bf16 and back: rounded to the nearest, ties to even, as `cast` does. x, y: f32 on the CPU, one shape; y may be x.
void round_to_bf16(const Tensor& x, Tensor& y);
/// A rounded copy.
Tensor rounded_to_bf16(const Tensor& x);

/// The same of `count` floats, on the calling thread.
void round_to_bf16(const float* x, std::int64_t count, float* y);

}  // namespace gpucnn::kernels::cpu
