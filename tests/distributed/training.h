#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/batch_part.h>
#include <gpucnn/layers/module/module.h>

#include "distributed/world.h"

/// What the tests of joined training share.
namespace gpucnn {

inline BatchPart own_part(const Distributed& distributed) { return {distributed.rank(), distributed.size()}; }

/// All values of parameters and buffers, byte for byte.
inline std::string bits_of(Module& model) {
  std::string bits;
  for (const auto& [name, tensor] : model.state_dict()) {
    const Tensor values = tensor.to(Device::cpu());
    bits.append(reinterpret_cast<const char*>(values.bytes()), static_cast<std::size_t>(values.nbytes()));
  }
  return bits;
}

/// The same that are f32, one after the other.
inline std::vector<double> floats_of(Module& model) {
  std::vector<double> all;
  for (const auto& [name, tensor] : model.state_dict()) {
    if (tensor.dtype() != DType::f32) continue;
    for (const float value : tensor.to_vector<float>()) all.push_back(static_cast<double>(value));
  }
  return all;
}

inline void expect_same_on_all_ranks(const std::string& bits) {
  const std::string all = std::to_string(std::hash<std::string>()(bits));
  for (const std::string& other : world().all_gather(all)) EXPECT_EQ(other, all);
}

}  // namespace gpucnn
