// A layer of one's own: y = factor * x, with a factor that is learned. For the CPU: on a GPU data() throws.
#include <gpucnn/gpucnn.h>
#include <cstdio>

using namespace gpucnn;
class Scale : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context& context) const override {
    context.save(x);
    return scaled(x);
  }
  Tensor gradients(const Tensor& dy, Context& context) override {
    const Tensor& x = context.saved();
    float sum = 0;
    for (std::int64_t i = 0; i < x.numel(); ++i) sum += dy.data<float>()[i] * x.data<float>()[i];
    factor_.accumulate_grad(Tensor::full({1}, sum));
    return scaled(dy);
  }
  void members(Members& m) override { m("factor", factor_); }

 private:
  Tensor scaled(const Tensor& x) const {
    Tensor y = Tensor::empty(x.shape());
    for (std::int64_t i = 0; i < x.numel(); ++i) y.data<float>()[i] = factor_.value().item() * x.data<float>()[i];
    return y;
  }
  Parameter factor_{{1}, Init::constant(0.5F)};
};

int main() {
  Sequential model{Flatten(), Scale()};
  const Tensor y = model(Tensor::full({2, 3, 1, 1}, 4.0F));
  model.backward(Tensor::full({2, 3}, 1.0F));
  const Parameter factor = model.parameters().at(0);
  std::printf("4 becomes %g; the gradient of %s is %g\n", y.to_vector<float>()[0], factor.name().c_str(), factor.grad().item());
  return y.to_vector<float>()[0] == 2.0F && factor.grad().item() == 24.0F ? 0 : 1;
}
