#include <gpucnn/optim/adamw.h>

#include <gpucnn/optim/adam_step.h>

namespace gpucnn {
namespace {

std::vector<ParameterGroup<AdamOptions>> as_adams(const std::vector<ParameterGroup<AdamWOptions>>& groups) {
  std::vector<ParameterGroup<AdamOptions>> all;
  all.reserve(groups.size());
  for (const auto& [parameters, options] : groups) all.push_back({parameters, as_adam(options)});
  return all;
}

}  // namespace

AdamW::AdamW(std::vector<Parameter> parameters, AdamWOptions options)
    : AdamW(std::vector<ParameterGroup<AdamWOptions>>{{std::move(parameters), options}}) {}

AdamW::AdamW(const std::vector<ParameterGroup<AdamWOptions>>& groups) : Adam(as_adams(groups), /*decoupled=*/true) {}

}  // namespace gpucnn
