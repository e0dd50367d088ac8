#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/io/import_onnx.h>
#include <gpucnn/io/onnx/fields.h>
#include <gpucnn/io/protobuf/wire_writer.h>

#include "io/temporary_folder.h"

/// ONNX files that tests write message by message.
namespace gpucnn {

using protobuf::WireWriter;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// A node of an ONNX file.
struct Step {
  std::string type;
  std::vector<std::string> inputs;
  std::string output;
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> integers = {};
  std::string domain = {};
  std::vector<std::pair<std::string, std::string>> texts = {};  // attributes
  std::vector<std::string> more_outputs = {};
};

inline WireWriter message_of(const Step& step) {
  WireWriter node;
  for (const std::string& input : step.inputs) node.bytes(onnx::node::input, input);
  node.bytes(onnx::node::output, step.output);
  for (const std::string& output : step.more_outputs) node.bytes(onnx::node::output, output);
  node.bytes(onnx::node::name, "the " + step.type);
  node.bytes(onnx::node::op_type, step.type);
  node.bytes(onnx::node::domain, step.domain);
  for (const auto& [name, values] : step.integers) {
    WireWriter attribute;
    attribute.bytes(onnx::attribute::name, name);
    if (values.size() == 1) attribute.integer(onnx::attribute::i, values[0]);
    for (const std::int64_t value : values) attribute.integer(onnx::attribute::ints, value);
    node.message(onnx::node::attribute, attribute);
  }
  for (const auto& [name, value] : step.texts) {
    WireWriter attribute;
    attribute.bytes(onnx::attribute::name, name);
    attribute.bytes(onnx::attribute::s, value);
    attribute.integer(onnx::attribute::type, onnx::attribute::is_string);
    node.message(onnx::node::attribute, attribute);
  }
  return node;
}

/// An initializer of f32, all `fill`.
inline WireWriter tensor_of(const std::string& name, const std::vector<std::int64_t>& dims, int type = 1, float fill = 0.5F) {
  WireWriter tensor;
  std::int64_t count = 1;
  for (const std::int64_t extent : dims) {
    tensor.integer(onnx::tensor::dims, extent);
    count *= extent;
  }
  tensor.integer(onnx::tensor::data_type, type);
  tensor.bytes(onnx::tensor::name, name);
  const std::vector<float> values(static_cast<std::size_t>(count), fill);
  tensor.bytes(onnx::tensor::raw_data, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  return tensor;
}

/// An initializer of i64 in one dimension, its elements in a field of their own.
inline WireWriter numbers_of(const std::string& name, const std::vector<std::int64_t>& values) {
  WireWriter tensor;
  tensor.integer(onnx::tensor::dims, static_cast<std::int64_t>(values.size()));
  tensor.integer(onnx::tensor::data_type, onnx::tensor::is_int64);
  tensor.bytes(onnx::tensor::name, name);
  for (const std::int64_t value : values) tensor.integer(onnx::tensor::int64_data, value);
  return tensor;
}

/// An initializer that is one number.
inline WireWriter number_of(const std::string& name, float value) { return tensor_of(name, {}, 1, value); }

inline WireWriter value_of(const std::string& name, const std::vector<std::int64_t>& dims, int type = 1) {
  WireWriter shape;
  for (const std::int64_t extent : dims) {
    WireWriter dim;
    if (extent > 0) dim.integer(onnx::dim::value, extent);
    if (extent <= 0) dim.bytes(onnx::dim::param, "D");
    shape.message(onnx::tensor_shape::dim, dim);
  }
  WireWriter tensor, kind, value;
  tensor.integer(onnx::tensor_type::elem_type, type);
  tensor.message(onnx::tensor_type::shape, shape);
  kind.message(onnx::type::tensor_type, tensor);
  value.bytes(onnx::value_info::name, name);
  value.message(onnx::value_info::type, kind);
  return value;
}

/// A file: its input "x", its nodes, its initializers, and "y".
struct File {
  std::vector<Step> steps;
  std::vector<WireWriter> tensors = {};
  std::vector<WireWriter> inputs = {value_of("x", {-1, 2, 4, 4})};
  std::vector<std::string> outputs = {"y"};

  std::int64_t operator_set = 17;

  std::string bytes() const {
    WireWriter graph, opset, model;
    for (const Step& step : steps) graph.message(onnx::graph::node, message_of(step));
    for (const WireWriter& tensor : tensors) graph.message(onnx::graph::initializer, tensor);
    for (const WireWriter& input : inputs) graph.message(onnx::graph::input, input);
    for (const std::string& output : outputs) graph.message(onnx::graph::output, value_of(output, {-1, 2, 4, 4}));
    opset.integer(onnx::opset::version, operator_set);
    model.message(onnx::model::opset_import, opset);
    model.message(onnx::model::graph, graph);
    return model.text();
  }
};

class ImportOnnx : public ::testing::Test {
 protected:
  ImportedOnnx read(const std::string& bytes) const {
    testing::write_bytes(folder_ / "m.onnx", bytes);
    return import_onnx(folder_ / "m.onnx");
  }
  ImportedOnnx read(const File& file) const { return read(file.bytes()); }
  void expect_refused(const File& file, const std::string& message) const {
    EXPECT_THAT([&] { read(file); }, ThrowsMessage<DataError>(HasSubstr(message))) << message;
  }

  testing::TemporaryFolder folder_;
};

}  // namespace gpucnn
