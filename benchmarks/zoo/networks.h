#pragma once

#include <memory>
#include <string_view>

#include <gpucnn/core/shape.h>
#include <gpucnn/layers/containers/sequential.h>

// The networks that benchmarks time. networks.py has the same in PyTorch.
namespace gpucnn {

/// A network of 10 classes and the shape of its images.
struct Network {
  Shape image;  // [C, H, W]
  std::unique_ptr<Sequential> model;
};

/// allconv, caffe_lenet, convnet_quick, lenet5, mlp, mobile, pool64 and vgg8, or a model of `make_model` on images of [3, 32, 32].
/// Throws `std::invalid_argument` for another name.
Network make_network(std::string_view name);

/// What a step must do at least, for one image.
struct Work {
  double flop;   // of convolutions and linear layers, a multiplication and an addition each counted
  double bytes;  // of f32 activations that every convolution, linear and pooling layer reads and writes
};

/// Of a forward pass, or of a training step. There a convolution or linear layer makes three products of the same size, but for the
/// first one, whose input needs no gradient. A layer reads x and writes y; its backward reads x and dy, and writes dx.
Work work_of(const Sequential& model, const Shape& image, bool training);

}  // namespace gpucnn
