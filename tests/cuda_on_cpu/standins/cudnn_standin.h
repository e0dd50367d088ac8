#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <cudnn_graph.h>

#include "cudnn_standin_compute.h"

/// Descriptors of the stand-in for cuDNN: what was set, checked against what a descriptor of that kind can be given.
namespace gpucnn::cudnn_standin {

using Name = cudnnBackendAttributeName_t;
using Kind = cudnnBackendDescriptorType_t;

/// What a call that cannot be done throws.
struct Refusal {
  cudnnStatus_t status;
  std::string reason;
};

[[noreturn]] inline void refuse(cudnnStatus_t status, const std::string& reason) { throw Refusal{status, reason}; }

inline void require(bool holds, const std::string& rule, cudnnStatus_t otherwise = CUDNN_STATUS_BAD_PARAM) {
  if (!holds) refuse(otherwise, rule);
}

struct Node;

/// What was set for an attribute.
struct Value {
  std::vector<std::byte> bytes;
  std::vector<std::shared_ptr<const Node>> nodes;  // instead, of backend descriptors
};

/// A descriptor's content. What refers to it keeps it, so a descriptor may be destroyed once it has been used.
struct Node {
  Kind kind;
  bool finalized = false;
  std::map<Name, Value> values;
  std::size_t engine = 0;                                       // of an engine, an engine configuration and a plan
  Convolution convolution;                                      // of an operation graph and a plan
  std::map<std::int64_t, std::shared_ptr<const Node>> tensors;  // theirs that have memory, by uid
  std::array<std::int64_t, 4> uids{};                           // of x, weight, bias and y; 0 where there is none

  bool has(Name name) const { return values.contains(name); }

  template <class T>
  std::vector<T> all(Name name) const {
    const std::vector<std::byte>& bytes = values.at(name).bytes;
    std::vector<T> made(bytes.size() / sizeof(T));
    std::memcpy(made.data(), bytes.data(), bytes.size());
    return made;
  }
  template <class T>
  T one(Name name) const {
    T made;
    std::memcpy(&made, values.at(name).bytes.data(), sizeof(T));
    return made;
  }
  template <class T>
  T one(Name name, T otherwise) const {
    return has(name) ? one<T>(name) : otherwise;
  }
  const std::vector<std::shared_ptr<const Node>>& nodes(Name name) const { return values.at(name).nodes; }
  const std::shared_ptr<const Node>& node(Name name) const { return nodes(name).at(0); }
};

/// What cudnnBackendDescriptor_t points to.
struct Holder {
  std::shared_ptr<Node> node;
};

inline Node& node_of(cudnnBackendDescriptor_t descriptor) {
  require(descriptor, "the descriptor is null", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
  return *static_cast<Holder*>(descriptor)->node;
}

/// An attribute that a descriptor can be given: how many values of what type.
struct Attribute {
  Name name;
  cudnnBackendAttributeType_t type;
  std::int64_t least, most;
  bool required = true;
  std::optional<Kind> kind = std::nullopt;  // of the descriptors it refers to
};

/// The attributes of a kind of descriptor. Refuses kinds that are not known.
const std::vector<Attribute>& attributes_of(Kind kind);

/// cudnnBackendSetAttribute.
void set(Node& node, Name name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values);

/// cudnnBackendFinalize.
void finalize(Node& node);

/// Every use of a context, which serves one thread at a time.
void use(cudnnHandle_t handle);

/// An engine as the heuristics name it.
struct Engine {
  std::vector<cudnnBackendNumericalNote_t> notes;
  int capability = 0;     // the least that it runs on
  bool plannable = true;  // whether an execution plan of it can be finalised
};

/// All, in the order in which the heuristics name them.
extern const std::array<Engine, 5> kEngines;
inline constexpr std::size_t kTensorCores = 1, kGood = 4;

}  // namespace gpucnn::cudnn_standin
