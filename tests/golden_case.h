#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <gpucnn/core/state_dict.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/kernels/common/size2.h>
#include <gpucnn/layers/module/module.h>

#include "close.h"

namespace gpucnn {

/// The bar of recorded PyTorch cases: rtol 1e-5, atol 1e-6.
inline constexpr Tolerance kGoldenCase{1e-5, 0, 1e-6};

/// A case that tests/golden/cases/cases.py recorded.
struct GoldenCase {
  std::string name;
  nlohmann::json options;  ///< of the case, with "layer" and "training"
  StateDict tensors;       ///< "x", "y", …: its tensors on the CPU, without the case's name

  bool has(const std::string& key) const { return tensors.contains(key); }
  Tensor at(const std::string& key, Device device = {}) const { return tensors.at(key).to(device); }
  /// The tensors whose keys begin with `prefix`, without it.
  StateDict with_prefix(const std::string& prefix) const {
    StateDict found;
    for (const auto& [key, tensor] : tensors) {
      if (key.starts_with(prefix)) found.add(key.substr(prefix.size()), tensor);
    }
    return found;
  }
};

/// The cases of tests/golden/FOLDER/FAMILY.safetensors.
inline std::vector<GoldenCase> golden_cases(const std::string& family, const std::string& folder = "cases") {
  const auto [tensors, metadata] =
      load_safetensors(std::filesystem::path(__FILE__).parent_path() / "golden" / folder / (family + ".safetensors"));
  std::vector<GoldenCase> cases;
  for (const nlohmann::json& options : nlohmann::json::parse(metadata.at("cases"))) {
    GoldenCase found{options.at("name").get<std::string>(), options, {}};
    const std::string prefix = found.name + "/";
    for (const auto& [key, tensor] : tensors) {
      if (key.starts_with(prefix)) found.tensors.add(key.substr(prefix.size()), tensor);
    }
    cases.push_back(std::move(found));
  }
  return cases;
}

/// A number, or a list of height and width.
inline Size2 size_of(const nlohmann::json& value) {
  return value.is_array() ? Size2(value[0].get<int>(), value[1].get<int>()) : Size2(value.get<int>());
}

/// Of a case's options, if it has this one.
inline std::optional<Size2> size_if(const nlohmann::json& options, const char* name) {
  return options.contains(name) ? std::optional(size_of(options.at(name))) : std::nullopt;
}

/// Equal in shape, and close in value.
inline void expect_golden(const Tensor& actual, const Tensor& expected, const std::string& what,
                          Tolerance tolerance = kGoldenCase) {
  SCOPED_TRACE(what);
  ASSERT_TRUE(actual.defined());
  ASSERT_EQ(actual.shape(), expected.shape());
  ASSERT_EQ(actual.dtype(), expected.dtype());
  if (expected.dtype() == DType::i64) {
    EXPECT_EQ(actual.to_vector<std::int64_t>(), expected.to_vector<std::int64_t>());
  } else {
    expect_close(actual.to_vector<float>(), as_doubles(expected.to_vector<float>()), tolerance);
  }
}

/// Runs `layer` on `device` as PyTorch's was run, and holds y, dx, the gradients and the buffers against the recording.
inline void expect_layer_case(const GoldenCase& recorded, Module& layer, Device device) {
  SCOPED_TRACE("case " + recorded.name + ": " + recorded.options.dump());
  if (const StateDict state = recorded.with_prefix("state."); state.size() > 0) layer.load_state_dict(state);
  layer.to(device).train(recorded.options.at("training").get<bool>());
  layer.set_input_grad(true);
  ASSERT_NO_FATAL_FAILURE(expect_golden(layer(recorded.at("x", device)), recorded.at("y"), "y"));
  ASSERT_NO_FATAL_FAILURE(expect_golden(layer.backward(recorded.at("dy", device)), recorded.at("dx"), "dx"));
  for (const Parameter& parameter : layer.parameters()) {
    ASSERT_NO_FATAL_FAILURE(
        expect_golden(parameter.grad(), recorded.at("grad." + parameter.name()), "gradient of " + parameter.name()));
  }
  const StateDict now = layer.state_dict();
  for (const auto& [name, expected] : recorded.with_prefix("after.")) {
    ASSERT_NO_FATAL_FAILURE(expect_golden(now.at(name), expected, "buffer " + name));
  }
}

}  // namespace gpucnn
