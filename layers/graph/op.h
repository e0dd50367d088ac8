#pragma once

#include <variant>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/conv/conv2d_options.h>
#include <gpucnn/kernels/pool/pool2d_options.h>

/// The operations of a ModelGraph, each with its attributes. Tensors are f32, lie on the CPU, and have PyTorch's shapes;
/// `to_vector` gives their elements in PyTorch's order. What a layer does not have is undefined.
namespace gpucnn::op {

/// [N, C, H, W] -> [N, K, Ho, Wo]. weight: [K, C / groups, kH, kW]; bias: [K], or undefined. Padding is in numbers, never `same`.
struct Conv2d {
  Conv2dOptions options;
  Tensor weight, bias;
};

/// [N, in_features] -> [N, out_features]. weight: [out_features, in_features]; bias: [out_features], or undefined.
struct Linear {
  Tensor weight, bias;
};

/// y = (x - running_mean) / sqrt(running_var + eps) * weight + bias in each channel of [N, C, H, W]. All tensors: [C]. weight and
/// bias are both undefined without affine. Without running statistics both are undefined: then mean and biased variance are those
/// of x over N, H and W.
struct BatchNorm2d {
  double eps;
  Tensor weight, bias, running_mean, running_var;
};

/// The same with mean and biased variance of C / num_groups neighbouring channels of one image. weight, bias: [C], or both
/// undefined.
struct GroupNorm {
  int num_groups;
  double eps;
  Tensor weight, bias;
};

/// [N, C, H, W] -> [N, C, Ho, Wo], see kernels::max_pool2d.
struct MaxPool2d {
  kernels::Pool2d options;
};

/// [N, C, H, W] -> [N, C, Ho, Wo], see kernels::avg_pool2d. The stride is set.
struct AvgPool2d {
  AvgPool2dOptions options;
};

/// [N, C, H, W] -> [N, C, output_size]: the mean, or the maximum, of each bin. Bin i of H rows into Ho goes from floor(i H / Ho) to
/// ceil((i + 1) H / Ho).
struct AdaptiveAvgPool2d {
  Size2 output_size;
};
struct AdaptiveMaxPool2d {
  Size2 output_size;
};

/// [N, C, H, W] -> [N, C, H * height, W * width]: y[n, c, i, j] = x[n, c, i / height, j / width].
struct Upsample {
  Size2 scale_factor;
};

/// [N, ...] -> [N, the product of the rest], in PyTorch's order.
struct Flatten {};

/// Over dimension 1 of [N, C] or [N, C, H, W].
struct Softmax {};

/// The sum of two values of the same shape.
struct Add {};

/// Two values or more side by side in dimension 1.
struct Concat {};

}  // namespace gpucnn::op

namespace gpucnn {

/// An operation; an Activation is applied to each element by itself.
using Op = std::variant<op::Conv2d, op::Linear, op::BatchNorm2d, op::GroupNorm, Activation, op::MaxPool2d, op::AvgPool2d,
                        op::AdaptiveAvgPool2d, op::AdaptiveMaxPool2d, op::Upsample, op::Flatten, op::Softmax, op::Add, op::Concat>;

}  // namespace gpucnn
