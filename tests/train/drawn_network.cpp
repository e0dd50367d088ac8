#include "train/drawn_network.h"

#include <algorithm>
#include <utility>

#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>

#include "reference/values.h"
#include "train/layer_makers.h"

namespace gpucnn {
namespace {

/// Where numbers are not whole, weights stay as they are drawn; biases, and scales of normalizations, become as different.
void set_values(Module& model, bool whole, Draw& draw) {
  model.init(draw.seed());
  for (Parameter& parameter : model.parameters()) {
    std::vector<float> values = reference::random_floats(parameter.numel(), static_cast<unsigned>(draw.seed()));
    if (whole) {
      for (float& value : values) value = static_cast<float>(draw.between(-1, 1));
    } else if (parameter.shape().rank() > 1) {
      continue;
    }
    parameter.set_value(Tensor::from(values, parameter.shape()));
  }
}

/// A quarter of the networks has frozen parameters: any, or all up to one.
void freeze(Module& model, Draw& draw) {
  if (!draw.chance(25)) return;
  std::vector<Parameter> parameters = model.parameters();
  const int first = draw.chance(50) ? 0 : draw.below(static_cast<int>(parameters.size()) + 1);
  for (int i = 0; i < static_cast<int>(parameters.size()); ++i) {
    if (first > 0 ? i < first : draw.chance(40)) parameters[static_cast<std::size_t>(i)].requires_grad(false);
  }
}

}  // namespace

DrawnNetwork::DrawnNetwork(std::uint64_t seed, DrawnNetworkOptions options) : whole(seed % 2 == 0) {
  Draw draw(seed, options.joins, whole);
  const bool classifies = options.num_classes > 0;
  x = {classifies ? 2 : draw.between(1, 4), draw.between(1, 6), draw.between(4, 12), draw.between(4, 12)};
  y = x;
  std::vector<std::unique_ptr<Module>> layers;
  while (layers.empty()) {
    if (std::unique_ptr<Module> row = draw_row(y, draw.between(3, 9), false, draw)) layers.push_back(std::move(row));
  }
  if (classifies) {
    if (y.rank() == 4) layers.push_back(std::make_unique<Flatten>());
    const std::int64_t features = y.numel() / y[0];
    layers.push_back(std::make_unique<Linear>(static_cast<int>(features), options.num_classes));
    y = {y[0], options.num_classes};
  }
  model = draw.row(std::move(layers));
  set_values(*model, whole && !classifies, draw);
  freeze(*model, draw);
  model->set_input_grad(draw.chance(70));
  one_pass = draw.known.one_pass;
  counts = std::move(draw.known.counts);
}

}  // namespace gpucnn
