#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/module/module.h>

#include "device_test.h"
#include "reference/values.h"

namespace gpucnn {

/// f32 values between -1 and 1 in this shape, the same for the same seed.
inline Tensor random_tensor(const Shape& shape, unsigned seed, Device device = {}) {
  return Tensor::from(reference::random_floats(shape.numel(), seed), shape, device);
}

/// A test of layers on the device that is its parameter; tensors made in it lie there.
class LayerTest : public DeviceTest {
 protected:
  Tensor random_tensor(const Shape& shape, unsigned seed) const { return gpucnn::random_tensor(shape, seed, device()); }
  Tensor zeros(const Shape& shape, DType dtype = DType::f32) const { return Tensor::zeros(shape, dtype, device()); }
  Tensor full(const Shape& shape, float value) const { return Tensor::full(shape, value, device()); }
};

inline std::vector<float> values(const Tensor& tensor) { return tensor.to_vector<float>(); }

inline std::vector<std::string> names(const std::vector<Parameter>& parameters) {
  std::vector<std::string> all;
  for (const Parameter& parameter : parameters) all.push_back(parameter.name());
  return all;
}

/// Values and gradients of all parameters, one after the other.
inline std::vector<float> all_values(Module& module) {
  std::vector<float> all;
  for (const Parameter& parameter : module.parameters()) {
    for (float value : values(parameter.value())) all.push_back(value);
  }
  return all;
}
inline std::vector<float> all_grads(Module& module) {
  std::vector<float> all;
  for (const Parameter& parameter : module.parameters()) {
    for (float value : values(parameter.grad())) all.push_back(value);
  }
  return all;
}

/// y[i] = function(a[i], b[i % the size of b]), computed on the CPU whatever the device.
template <class Function>
Tensor combine(const Tensor& a, const Tensor& b, const Function& function) {
  const Tensor host_a = a.to(Device::cpu()), host_b = b.to(Device::cpu());
  Tensor y = Tensor::empty(a.shape());
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    y.data<float>()[i] = function(host_a.data<float>()[i], host_b.data<float>()[i % b.numel()]);
  }
  return y.to(a.device());
}

inline Tensor sum(const Tensor& a, const Tensor& b) { return combine(a, b, std::plus<float>()); }

/// A container with another data flow than one layer after the other: y = x + body(x).
template <class Body>
class Added : public Module {
 public:
  explicit Added(Body inner) : body(std::move(inner)) {}
  Shape output_shape(const Shape& x) const override {
    const Shape y = shape_of(body, x);
    if (y != x) throw std::invalid_argument("the body makes " + y.string() + " of " + x.string());
    return x;
  }
  Tensor forward(const Tensor& x, Context& context) const override { return sum(x, body(x, context)); }
  Tensor gradients(const Tensor& dy, Context& context) override { return sum(dy, body.backward(dy, context)); }
  void members(Members& m) override { m("body", body); }

  Body body;
};

/// y = weight * x with one learned number for each feature, and a buffer that counts the forwards that keep something. x: [N,
/// features].
class Scale : public Module {
 public:
  explicit Scale(std::int64_t features) : weight({features}, Init::constant(1)), forwards(Tensor::zeros({1})) {}
  Shape output_shape(const Shape& x) const override {
    if (x.rank() != 2 || x[1] != weight.numel()) throw std::invalid_argument("expects another shape than " + x.string());
    return x;
  }
  Tensor forward(const Tensor& x, Context& context) const override {
    if (context.keeps()) Tensor(forwards).copy_from(Tensor::full({1}, forwards.item() + 1));
    context.save(x);
    return combine(x, weight.value(), std::multiplies<float>());
  }
  Tensor gradients(const Tensor& dy, Context& context) override {
    const Tensor& x = context.saved();
    const Tensor products = combine(dy, x, std::multiplies<float>()).to(Device::cpu());
    Tensor dweight = Tensor::zeros({weight.numel()});
    for (std::int64_t i = 0; i < x.numel(); ++i) dweight.data<float>()[i % weight.numel()] += products.data<float>()[i];
    weight.accumulate_grad(dweight);
    return combine(dy, weight.value(), std::multiplies<float>());
  }
  void members(Members& m) override {
    m("weight", weight);
    m("forwards", forwards);
  }

  Parameter weight;
  Tensor forwards;
};

}  // namespace gpucnn
