#include <gpucnn/layers/fusion/pattern.h>

namespace gpucnn {
namespace {

class SingleLayer final : public Stage {
 public:
  explicit SingleLayer(Module& layer) : layer_(layer) {}

  Tensor forward(const Tensor& x, Context& context) override { return layer_(x, context); }
  Tensor backward(const Tensor& dy, Context& context) override { return layer_.backward(dy, context); }

 private:
  Module& layer_;
};

}  // namespace

const Pattern kSingleLayer{
    .match = [](std::span<Module* const>) -> std::size_t { return 1; },
    .make = [](std::span<Module* const> layers) -> std::unique_ptr<Stage> { return std::make_unique<SingleLayer>(*layers[0]); },
};

}  // namespace gpucnn
