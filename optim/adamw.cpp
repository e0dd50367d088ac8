#include <gpucnn/optim/adamw.h>

namespace gpucnn {
namespace {

std::vector<ParameterGroup<AdamOptions>> as_adams(std::vector<ParameterGroup<AdamWOptions>> groups) {
  std::vector<ParameterGroup<AdamOptions>> all;
  for (auto& [parameters, o] : groups) {
    all.push_back({std::move(parameters), {o.lr, o.betas, o.eps, o.weight_decay, o.maximize}});
  }
  return all;
}

}  // namespace

AdamW::AdamW(std::vector<Parameter> parameters, AdamWOptions options)
    : AdamW(std::vector<ParameterGroup<AdamWOptions>>{{std::move(parameters), options}}) {}

AdamW::AdamW(std::vector<ParameterGroup<AdamWOptions>> groups) : Adam(as_adams(std::move(groups)), /*decoupled=*/true) {}

}  // namespace gpucnn
