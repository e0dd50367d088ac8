#include <gpucnn/io/export_onnx.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/core/error.h>
#include <gpucnn/core/memory/layout.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/atomic_file.h>
#include <gpucnn/io/onnx/fields.h>
#include <gpucnn/io/onnx/graph_writer.h>
#include <gpucnn/layers/graph/model_graph.h>

namespace gpucnn {
namespace {

using protobuf::WireWriter;

constexpr std::int64_t kIrVersion = 8, kOperatorSet = 17;

/// A value of any number of images, "N", with the rest of the shape in numbers.
WireWriter value_info(const std::string& name, const Shape& shape) {
  WireWriter dims;
  for (int i = 0; i < shape.rank(); ++i) {
    WireWriter dim;
    if (i == 0) dim.bytes(onnx::dim::param, "N");
    if (i > 0) dim.integer(onnx::dim::value, shape[i]);
    dims.message(onnx::tensor_shape::dim, dim);
  }
  WireWriter tensor, type, value;
  tensor.integer(onnx::tensor_type::elem_type, onnx::tensor::is_float);
  tensor.message(onnx::tensor_type::shape, dims);
  type.message(onnx::type::tensor_type, tensor);
  value.bytes(onnx::value_info::name, name);
  value.message(onnx::value_info::type, type);
  return value;
}

/// What stands before the graph.
WireWriter model_head(const Metadata& metadata) {
  WireWriter head, opset;
  head.integer(onnx::model::ir_version, kIrVersion);
  head.bytes(onnx::model::producer_name, "libgpucnn");
  opset.bytes(onnx::opset::domain, "");
  opset.integer(onnx::opset::version, kOperatorSet);
  head.message(onnx::model::opset_import, opset);
  for (const auto& [key, text] : metadata) {
    for (const std::string& each : {key, text}) {
      if (!is_utf8(each)) {
        throw std::invalid_argument(formatted("export_onnx: metadata \"{}\" is not UTF-8", printable(each, kMaxNameBytes)));
      }
    }
    WireWriter entry;
    entry.bytes(onnx::entry::key, key);
    entry.bytes(onnx::entry::value, text);
    head.message(onnx::model::metadata_props, entry);
  }
  return head;
}

/// An initializer as a file has it before the elements.
std::string initializer_head(const onnx::GraphWriter::Initializer& initializer) {
  WireWriter message = initializer.head;
  message.head(onnx::tensor::raw_data, initializer.tensor.nbytes());
  WireWriter field;
  field.head(onnx::graph::initializer, message.text().size() + initializer.tensor.nbytes());
  return field.text() + message.text();
}

void write_elements(AtomicFile& file, const Tensor& tensor) {
  if (layout::is_same(tensor.shape())) return file.write({tensor.bytes(), tensor.nbytes()});
  const std::vector<float> values = tensor.to_vector<float>();
  file.write(std::as_bytes(std::span(values)));
}

}  // namespace

void export_onnx(const Module& model, const Shape& x, const std::filesystem::path& path, const OnnxOptions& options) {
  ModelGraph graph = graph_of(model, x);
  if (options.fold_batch_norm) graph.fold_batch_norm();
  onnx::GraphWriter writer(graph);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) writer.write_node(i);

  const std::string output_name = writer.write_output();

  WireWriter body;
  for (const WireWriter& node : writer.nodes()) body.message(onnx::graph::node, node);
  body.bytes(onnx::graph::name, printable(model.kind()));
  body.message(onnx::graph::input, value_info(writer.value_name(0), graph.values[0]));
  const auto output = static_cast<std::size_t>(graph.output);
  body.message(onnx::graph::output, value_info(output_name, graph.values[output]));

  std::vector<std::string> heads;
  std::uint64_t bytes = body.text().size();
  for (const auto& initializer : writer.initializers()) {
    heads.push_back(initializer_head(initializer));
    bytes += heads.back().size() + initializer.tensor.nbytes();
  }
  WireWriter head = model_head(options.metadata);
  head.head(onnx::model::graph, bytes);
  if (bytes + head.text().size() > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
    throw OutputError(path.string(), formatted("the model takes {} bytes as ONNX, and the format allows 2 GiB", bytes));
  }

  AtomicFile file(path);

  file.write(std::string_view(head.text()));
  file.write(std::string_view(body.text()));
  for (std::size_t i = 0; i < heads.size(); ++i) {
    file.write(std::string_view(heads[i]));
    write_elements(file, writer.initializers()[i].tensor);
  }
  file.commit();
}

}  // namespace gpucnn
