#include <gpucnn/train/evaluator.h>

#include <gpucnn/core/config.h>
#include <gpucnn/train/train_step.h>

namespace gpucnn {
namespace {

class OneByOne final : public Evaluator {
 public:
  OneByOne(Module& model, Loss& loss, DataLoader& loader) : model_(model), loss_(loss), loader_(loader) {}

  std::optional<Metrics> operator()(const std::function<bool()>& stop) override {
    Metrics seen;
    for (const Batch& batch : loader_) {
      seen += evaluate(model_, loss_, batch);
      if (stop()) return {};
    }
    return seen;
  }

 private:
  Module& model_;
  Loss& loss_;
  DataLoader& loader_;
};

}  // namespace

std::unique_ptr<Evaluator> Evaluator::of(Module& model, Loss& loss, DataLoader& loader) {
  if constexpr (kBuiltWithCuda) {
    if (auto evaluator = captured(model, loss, loader)) return evaluator;
  }
  return std::make_unique<OneByOne>(model, loss, loader);
}

}  // namespace gpucnn
