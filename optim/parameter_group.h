#pragma once

#include <utility>
#include <vector>

#include <gpucnn/core/parameter.h>

namespace gpucnn {

/// Parameters that an optimizer changes with options of their own, as a dictionary in PyTorch's list of groups. `Options` are the
/// optimizer's: `ParameterGroup<AdamOptions>`.
template <class Options>
struct ParameterGroup {
  std::vector<Parameter> parameters;
  Options options;
};

/// Two groups: parameters of rank 2 or more with the options as given, then those of rank 0 and 1, which are biases and the scales
/// and shifts of normalizations, with weight_decay = 0. Of MuonOptions, whose second group AdamW updates, that is
/// adamw.weight_decay too.
///
///     AdamW optimizer(no_decay_on_biases_and_norms(model.parameters(), AdamWOptions{.lr = 1e-3}));
template <class Options>
std::vector<ParameterGroup<Options>> no_decay_on_biases_and_norms(const std::vector<Parameter>& parameters, Options options) {
  std::vector<ParameterGroup<Options>> groups{{{}, options}, {{}, options}};
  groups[1].options.weight_decay = 0;
  if constexpr (requires { options.adamw.weight_decay; }) groups[1].options.adamw.weight_decay = 0;
  for (const Parameter& parameter : parameters) groups[parameter.shape().rank() >= 2 ? 0 : 1].parameters.push_back(parameter);
  return groups;
}

}  // namespace gpucnn
