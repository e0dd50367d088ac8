#include <gpucnn/io/load_model.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/in_quotes.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/model_metadata.h>
#include <gpucnn/io/safetensors/header.h>
#include <gpucnn/layers/module/module_tree.h>
#include <gpucnn/models/make_model.h>

namespace gpucnn {
namespace {

[[noreturn]] void fail(const std::string& file, const std::string& expected, const std::string& found) {
  throw DataError(file, safetensors::kLengthBytes, expected, found);
}

/// A network takes memory for its buffers as soon as it is made, so its width is held against the file first. The largest weight of
/// resnet9 has 9 (8 width)^2 elements.
void check_width(const std::string& file, int width, const StateDict& state) {
  std::int64_t largest = 0;
  for (const auto& [name, tensor] : state) largest = std::max(largest, tensor.numel());
  const std::int64_t side = std::int64_t{8} * width;
  if (side <= largest && 9 * side <= largest / side) return;
  fail(file, formatted("weights of a model of width {}, as the metadata says", width), "smaller ones");
}

std::unique_ptr<Sequential> make_network(const std::string& file, const ModelMetadata& m) {
  if (std::ranges::find(model_names(), m.model) == model_names().end()) {
    fail(file, formatted("one of {} as model in the metadata", joined(model_names(), ", ")), in_quotes(m.model));
  }
  try {
    return make_model(m.model, m.image_shape, static_cast<int>(m.class_names.size()), m.width);
  } catch (const std::invalid_argument& error) {
    fail(file, formatted("an image_shape, num_classes and width in the metadata that {} takes", m.model), error.what());
  }
}

/// Holds the tensors of the file against the names and shapes of a network that has no memory yet.
void check_shapes(const std::string& file, const std::string& model, Sequential& network, const StateDict& state) {
  const auto check = [&](const std::string& name, const Shape& shape) {
    const Tensor* found = state.find(name);
    if (found && found->shape() == shape) return;
    const auto left_out = state.left_out().find(name);
    fail(file, formatted("{} {} of {}", name, shape.string(), model),
         found                                ? found->shape().string()
         : left_out == state.left_out().end() ? "no such tensor"
                                              : "one that cannot be held: " + left_out->second);
  };
  const ModuleTree tree(network, "");
  for (std::size_t i = 0; i < tree.parameters.size(); ++i) check(tree.names[i], tree.parameters[i].shape());
  for (const auto& [name, buffer] : tree.buffers) check(name, buffer->shape());
}

/// A variance below 0 has no root.
void check_variances(const std::string& file, const StateDict& state) {
  for (const auto& [name, tensor] : state) {
    if (!name.ends_with("running_var")) continue;
    for (const float value : tensor.to_vector<float>()) {
      if (value < 0) fail(file, formatted("variances of at least 0 in {}", printable(name, kMaxNameBytes)), formatted("{}", value));
    }
  }
}

/// Weights that are no numbers would show as predictions that are none, whose cause would be looked for elsewhere.
void check_finite(const std::string& file, const StateDict& state) {
  for (const auto& [name, tensor] : state) {
    if (tensor.dtype() != DType::f32) continue;
    const std::span<const float> values(tensor.data<float>(), static_cast<std::size_t>(tensor.numel()));
    const auto wrong = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    if (wrong != values.end()) {
      fail(file, formatted("finite numbers in {}", printable(name, kMaxNameBytes)),
           formatted("{}, so the training that wrote it had failed", *wrong));
    }
  }
}

}  // namespace

LoadedModel load_model(const std::filesystem::path& path) {
  const std::string file = path.string();
  auto [state, metadata] = load_safetensors(path);
  ModelMetadata m = parse_model_metadata(file, metadata);
  if (m.width) check_width(file, *m.width, state);
  std::unique_ptr<Sequential> network = make_network(file, m);
  check_shapes(file, m.model, *network, state);
  try {
    network->load_state_dict(state);
  } catch (const std::invalid_argument& error) {
    fail(file, formatted("the tensors of {} and no others", m.model), error.what());
  }
  check_finite(file, network->state_dict());
  check_variances(file, network->state_dict());
  network->eval();
  return {.network = std::move(network),
          .name = std::move(m.model),
          .class_names = std::move(m.class_names),
          .normalize = std::move(m.normalize),
          .image_shape = m.image_shape,
          .metadata = std::move(metadata)};
}

}  // namespace gpucnn
