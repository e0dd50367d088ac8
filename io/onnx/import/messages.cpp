#include <gpucnn/io/onnx/import/messages.h>

#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/onnx/fields.h>

namespace gpucnn::onnx {
namespace {

/// The text of a field, a key and a value, of metadata or external data.
std::pair<std::string_view, std::string_view> read_entry(protobuf::WireReader message) {
  std::pair<std::string_view, std::string_view> entry;
  while (message.next()) {
    if (message.field() == entry::key) entry.first = message.bytes();
    if (message.field() == entry::value) entry.second = message.bytes();
  }
  return entry;
}

TensorMessage read_tensor(protobuf::WireReader message, const char* at) {
  TensorMessage read;
  read.at = at;
  while (message.next()) {
    switch (message.field()) {
      case tensor::dims: message.append(read.dims); break;
      case tensor::data_type: read.type = message.integer(); break;
      case tensor::float_data: message.append(read.floats); break;
      case tensor::int32_data:
      case tensor::int64_data: message.append(read.integers); break;
      case tensor::name: read.name = message.bytes(); break;
      case tensor::raw_data: read.raw = message.bytes(); break;
      case tensor::data_location: read.is_external = message.integer() != 0; break;
      case tensor::external_data: {
        const auto [key, value] = read_entry(message.message());
        if (key == "location") read.location = value;
        break;
      }
      default: break;
    }
  }
  return read;
}

AttributeMessage read_attribute(protobuf::WireReader message) {
  AttributeMessage read;
  while (message.next()) {
    switch (message.field()) {
      case attribute::name: read.name = message.bytes(); break;
      case attribute::f: read.real = message.real(); break;
      case attribute::i: read.integer = message.integer(); break;
      case attribute::s: read.text = message.bytes(); break;
      case attribute::t: read.tensor = read_tensor(message.message(), message.at()); break;
      case attribute::ints: message.append(read.integers); break;
      case attribute::type: read.type = message.integer(); break;
      default: break;
    }
  }
  return read;
}

NodeMessage read_node(protobuf::WireReader message, const char* at) {
  NodeMessage read;
  read.at = at;
  while (message.next()) {
    switch (message.field()) {
      case node::input: read.inputs.push_back(message.bytes()); break;
      case node::output: read.outputs.push_back(message.bytes()); break;
      case node::name: read.name = message.bytes(); break;
      case node::op_type: read.type = message.bytes(); break;
      case node::attribute: read.attributes.push_back(read_attribute(message.message())); break;
      case node::domain: read.domain = message.bytes(); break;
      default: break;
    }
  }
  return read;
}

std::vector<std::int64_t> read_dims(protobuf::WireReader message) {
  std::vector<std::int64_t> dims;
  while (message.next()) {
    if (message.field() != tensor_shape::dim) continue;
    dims.push_back(-1);
    for (protobuf::WireReader dim = message.message(); dim.next();) {
      if (dim.field() == dim::value) dims.back() = dim.integer();
    }
  }
  return dims;
}

ValueMessage read_value(protobuf::WireReader message, const char* at) {
  ValueMessage read;
  read.at = at;
  while (message.next()) {
    if (message.field() == value_info::name) read.name = message.bytes();
    if (message.field() != value_info::type) continue;
    for (protobuf::WireReader type = message.message(); type.next();) {
      if (type.field() != type::tensor_type) continue;
      for (protobuf::WireReader tensor = type.message(); tensor.next();) {
        if (tensor.field() == tensor_type::elem_type) read.type = tensor.integer();
        if (tensor.field() == tensor_type::shape) read.dims = read_dims(tensor.message());
      }
    }
  }
  return read;
}

void read_graph(protobuf::WireReader message, ModelMessage& model) {
  while (message.next()) {
    if (model.nodes.size() + model.initializers.size() > kMaxParts) {
      message.file().fail(message.at(), formatted("at most {} nodes and initializers", kMaxParts), "more");
    }
    switch (message.field()) {
      case graph::node: model.nodes.push_back(read_node(message.message(), message.at())); break;
      case graph::initializer: {
        TensorMessage tensor = read_tensor(message.message(), message.at());
        const std::string_view name = tensor.name;
        if (!model.initializers.emplace(name, std::move(tensor)).second) {
          message.file().fail(message.at(), "every initializer once", formatted("'{}' twice", printable(name, kMaxNameBytes)));
        }
        break;
      }
      case graph::input: model.inputs.push_back(read_value(message.message(), message.at())); break;
      case graph::output: model.outputs.push_back(read_value(message.message(), message.at())); break;
      case graph::sparse_initializer: message.file().fail(message.at(), "initializers that are not sparse", "a sparse one");
      default: break;
    }
  }
}

/// Of the operator sets that a model names only ONNX's own counts.
void read_operator_set(protobuf::WireReader message, ModelMessage& model) {
  std::string_view domain;
  std::int64_t version = 0;
  while (message.next()) {
    if (message.field() == opset::domain) domain = message.bytes();
    if (message.field() == opset::version) version = message.integer();
  }
  if (domain.empty() || domain == "ai.onnx") model.operator_set = version;
}

}  // namespace

ModelMessage read_model(const protobuf::WireFile& file) {
  ModelMessage model;
  std::optional<protobuf::WireReader> graph;
  protobuf::WireReader message(file, file.bytes);
  while (message.next()) {
    switch (message.field()) {
      case model::graph: graph = message.message(); break;
      case model::opset_import: read_operator_set(message.message(), model); break;
      case model::metadata_props: {
        const auto [key, value] = read_entry(message.message());
        model.metadata[std::string(key)] = value;
        break;
      }
      default: break;
    }
  }
  const char* const end = file.bytes.data() + file.bytes.size();
  if (!graph) file.fail(end, "an ONNX model with a graph", "none");
  if (model.operator_set == 0) file.fail(end, "the version of ONNX's operator set", "none");
  if (model.operator_set < kFirstOperatorSet) {
    file.fail(end, formatted("operator set {} or later; export with a later one", kFirstOperatorSet),
              formatted("{}", model.operator_set));
  }
  read_graph(*graph, model);
  return model;
}

}  // namespace gpucnn::onnx
