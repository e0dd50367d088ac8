#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/onnx/import/messages.h>
#include <gpucnn/io/onnx/import/symbols.h>
#include <gpucnn/io/protobuf/wire_reader.h>
#include <gpucnn/layers/graph/model_graph.h>

namespace gpucnn::onnx {

/// Makes a ModelGraph of an ONNX graph, node by node. All calls throw `DataError` that names the node.
class GraphReader {
 public:
  /// `model` and the bytes of `file` must outlive it.
  GraphReader(const protobuf::WireFile& file, const ModelMessage& model);

  /// The whole graph, without what its output does not need.
  ModelGraph read();

  // ---- for the functions that read one kind of node: of the node at hand ----

  const NodeMessage& node() const { return *node_; }
  std::int64_t operator_set() const { return model_.operator_set; }
  bool has_input(std::size_t i) const { return i < node_->inputs.size() && !node_->inputs[i].empty(); }
  /// The value that input `i` is, for an operation to read. A function of elements becomes a node here.
  int value(std::size_t i);
  const Symbol& symbol(std::size_t i) const;
  template <class Kind>
  const Kind* symbol_as(std::size_t i) const {
    return std::get_if<Kind>(&symbol(i));
  }
  /// Whether nothing but this node reads what input `i` is, under any of its names.
  bool reads_alone(std::size_t i) const;
  bool is_constant(std::size_t i) const { return has_input(i) && symbol_as<Constant>(i) != nullptr; }
  /// The dimensions of the constant that input `i` is.
  std::vector<std::int64_t> dims(std::size_t i) const;
  /// Whether input `i` is a constant with a number for each channel of y: [K], [1, K], [K, 1, 1] or [1, K, 1, 1].
  bool is_per_channel(std::size_t i, const Shape& y) const;
  /// The tensor of floats that input `i` is.
  Tensor tensor(std::size_t i);
  /// The same if it has one dimension of this many elements.
  Tensor channels(std::size_t i, std::int64_t count);
  /// The one number that input `i` is, if it is one. Of a truth value it is 0 or 1.
  std::optional<double> scalar(std::size_t i) const;
  /// The whole numbers that input `i` is, in one dimension at most.
  Sizes sizes(std::size_t i) const;

  std::int64_t integer(std::string_view attribute, std::int64_t otherwise) const;
  /// The number that was meant by a float, as 1e-5 by 9.99999975e-6.
  double real(std::string_view attribute, double otherwise) const;
  std::string_view text(std::string_view attribute, std::string_view otherwise) const;
  std::vector<std::int64_t> integers(std::string_view attribute, const std::vector<std::int64_t>& otherwise) const;
  const TensorMessage* tensor(std::string_view attribute) const;
  bool has(std::string_view attribute) const;
  /// The same number in 31 bits.
  int narrow(std::int64_t number) const;

  const Shape& shape(int value) const { return graph_.values.at(static_cast<std::size_t>(value)); }
  /// The number of images in the file's input, or 0 if it is not fixed.
  std::int64_t batch() const noexcept { return batch_; }

  /// Says what the node's first output is.
  void set(Symbol symbol);
  /// Adds an operation and says that the first output is what it makes.
  void add(Op op, std::vector<int> inputs) { set(Value{append(std::move(op), std::move(inputs), *node_)}); }
  /// Adds an operation and returns the number of what it makes.
  int append(Op op, std::vector<int> inputs, const NodeMessage& node);
  /// The operation that made a value, to be completed.
  Op& maker(int value);

  /// That the file has something else here than what can be read: "a kernel_shape of 2 numbers".
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const;
  void require(bool good, const std::string& expected, const std::string& found) const {
    if (!good) fail(expected, found);
  }

 private:
  void read_input();
  void read_node(const NodeMessage& node);
  /// That each attribute is there once, and was read or changes nothing.
  void check_attributes() const;
  const AttributeMessage* find(std::string_view attribute, int type) const;
  /// Says what a name stands for, and counts who reads the value.
  void bind(std::string_view name, Symbol symbol);
  int resolve(int value, const Expression::Pointer& function, const NodeMessage& node);
  std::string path_of(const NodeMessage& node) const;
  std::string label(const NodeMessage& node) const;
  const Symbol& find_symbol(std::string_view name) const;
  std::vector<float> floats(const TensorMessage& tensor) const;
  std::vector<std::int64_t> whole_numbers(const TensorMessage& tensor) const;
  bool is_true(const TensorMessage& tensor) const;
  Shape shape_of(const TensorMessage& tensor, std::size_t element_bytes) const;

  const protobuf::WireFile& file_;
  const ModelMessage& model_;
  const NodeMessage* node_ = nullptr;
  ModelGraph graph_;
  std::map<std::string_view, Symbol> symbols_;
  std::map<std::string_view, int> uses_;      // how often a name is read
  std::map<int, int> readers_;                // of a value, under all its names
  mutable std::set<std::string_view> asked_;  // attributes of the node at hand that were read
  std::int64_t batch_ = 0;
  std::uint64_t converted_ = 0;  // bytes of tensors
};

/// A text of the file between quotes.
inline std::string quoted(std::string_view text) { return formatted("'{}'", printable(text, kMaxNameBytes)); }

/// What `make` gives, where misuse of a layer's options is what the file has wrong.
template <class Make>
auto as_options(const GraphReader& reader, const Make& make) {
  try {
    return make();
  } catch (const std::invalid_argument& error) {
    reader.fail("options and shapes that the layers take", error.what());
  }
}

/// Reads a node of a kind that is known; false if it is not. See read_layers.cpp, read_pools.cpp, read_pointwise.cpp,
/// read_shapes.cpp.
bool read_layer(std::string_view type, GraphReader& from);
bool read_pool(std::string_view type, GraphReader& from);
bool read_pointwise(std::string_view type, GraphReader& from);
bool read_shape(std::string_view type, GraphReader& from);

}  // namespace gpucnn::onnx
