#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/io/protobuf/wire_reader.h>
#include <gpucnn/io/safetensors.h>

/// ONNX's messages as far as they are read; texts and elements stay where they lie in the file.
/// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
namespace gpucnn::onnx {

struct TensorMessage {
  const char* at = nullptr;  // where it lies
  std::string_view name;
  std::vector<std::int64_t> dims;
  std::int64_t type = 0;
  std::optional<std::string_view> raw;
  std::vector<float> floats;
  std::vector<std::int64_t> integers;
  bool is_external = false;
  std::string_view location;  // of the external file
};

struct AttributeMessage {
  std::string_view name;
  std::int64_t type = 0;  // 0: the file does not say
  float real = 0;
  std::int64_t integer = 0;
  std::string_view text;
  std::optional<TensorMessage> tensor;
  std::vector<std::int64_t> integers;
};

struct NodeMessage {
  const char* at = nullptr;
  std::vector<std::string_view> inputs, outputs;
  std::string_view name, type, domain;
  std::vector<AttributeMessage> attributes;
};

/// An input or output of the graph. A dimension without a number is -1.
struct ValueMessage {
  const char* at = nullptr;
  std::string_view name;
  std::int64_t type = 0;
  std::optional<std::vector<std::int64_t>> dims;
};

struct ModelMessage {
  std::int64_t operator_set = 0;
  Metadata metadata;
  std::vector<NodeMessage> nodes;
  std::map<std::string_view, TensorMessage> initializers;
  std::vector<ValueMessage> inputs, outputs;
};

/// Nodes and initializers that a file may have: networks have hundreds.
inline constexpr std::size_t kMaxParts = 20'000;

/// Before this version norms learn by default, and operators broadcast as an attribute says.
inline constexpr std::int64_t kFirstOperatorSet = 7;

/// Reads a whole file. Throws `DataError` for bytes that are no ONNX model, for an older operator set, and for sparse initializers.
ModelMessage read_model(const protobuf::WireFile& file);

}  // namespace gpucnn::onnx
