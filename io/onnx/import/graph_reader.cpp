#include <gpucnn/io/onnx/import/graph_reader.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/onnx/fields.h>
#include <gpucnn/io/onnx/import/layer_of.h>
#include <gpucnn/io/onnx/import/names.h>
#include <gpucnn/kernels/combine/channels.h>

namespace gpucnn::onnx {
namespace {

/// What shapes are asked with: two images, for a norm may refuse the values of one.
constexpr std::int64_t kImages = 2;

/// Attributes that change nothing in what is computed here: of training, of outputs that nothing reads, of other modes of Resize.
constexpr std::array<std::string_view, 11> kWithoutEffect{
    "antialias", "cubic_coeff_a", "exclude_outside", "extrapolation_value", "momentum", "noop_with_empty_axes", "ratio",
    "saturate",  "seed",          "stash_type",      "storage_order"};

/// Leaves out nodes that the output does not need, and gives the values that the others make the numbers 1, 2, ….
void prune(ModelGraph& graph) {
  std::vector<bool> needed(graph.values.size(), false);
  needed[static_cast<std::size_t>(graph.output)] = true;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (!needed[static_cast<std::size_t>(node->output)]) continue;
    for (const int input : node->inputs) needed[static_cast<std::size_t>(input)] = true;
  }
  std::erase_if(graph.nodes, [&](const ModelGraph::Node& node) { return !needed[static_cast<std::size_t>(node.output)]; });
  graph.renumber();
}

}  // namespace

GraphReader::GraphReader(const protobuf::WireFile& file, const ModelMessage& model) : file_(file), model_(model) {
  for (const auto& [name, tensor] : model.initializers) symbols_.emplace(name, Constant{&tensor, tensor.dims});
  for (const NodeMessage& node : model.nodes) {
    for (const std::string_view name : node.inputs) ++uses_[name];
  }
  for (const ValueMessage& output : model.outputs) ++uses_[output.name];
}

ModelGraph GraphReader::read() {
  read_input();
  for (const NodeMessage& node : model_.nodes) read_node(node);
  if (model_.outputs.size() != 1) {
    file_.fail(file_.bytes.data(), "a graph with one output", formatted("{}", model_.outputs.size()));
  }
  const ValueMessage& output = model_.outputs[0];
  const NodeMessage end{output.at, {output.name}, {}, "output", "output", {}, {}};
  node_ = &end;
  graph_.output = value(0);
  prune(graph_);
  return std::move(graph_);
}

void GraphReader::read_input() {
  const ValueMessage* found = nullptr;
  for (const ValueMessage& input : model_.inputs) {
    if (model_.initializers.contains(input.name)) continue;  // before IR version 4 weights are inputs, too
    if (found) file_.fail(input.at, "a graph with one input", formatted("a second one, {}", quoted(input.name)));
    found = &input;
  }
  if (!found) file_.fail(file_.bytes.data(), "a graph with one input", "none");
  const auto refuse = [&](const std::string& what) {
    file_.fail(found->at,
               formatted("an input {} of f32 in 2 or 4 dimensions, all but the first of them in numbers", quoted(found->name)),
               what);
  };
  if (found->type != tensor::is_float) refuse(formatted("elements of ONNX's type {}", found->type));
  if (!found->dims) refuse("no shape");
  std::vector<std::int64_t> dims = *found->dims;
  if (dims.size() != 2 && dims.size() != 4) refuse(formatted("{} dimensions", dims.size()));
  batch_ = std::max<std::int64_t>(0, dims[0]);
  dims[0] = kImages;
  if (std::ranges::any_of(dims, [](std::int64_t extent) { return extent < 1; }))
    refuse("a dimension without one; export with a fixed size");
  try {
    graph_.values.push_back(Shape::from(dims));
  } catch (const std::invalid_argument& error) {
    refuse(error.what());
  }
  bind(found->name, Value{0});
}

void GraphReader::read_node(const NodeMessage& node) {
  node_ = &node;
  asked_.clear();
  if (!node.domain.empty() && node.domain != "ai.onnx")
    fail("an operator of ONNX's own", formatted("one of {}", quoted(node.domain)));
  require(!node.outputs.empty(), "a node with an output", "none");
  for (std::size_t i = 1; i < node.outputs.size(); ++i) {
    if (!uses_.contains(node.outputs[i])) continue;
    fail("a node whose first output alone is read", formatted("one that reads {}", quoted(node.outputs[i])));
  }
  require(!symbols_.contains(node.outputs[0]), "outputs with names of their own", formatted("{} twice", quoted(node.outputs[0])));
  for (const auto read : {read_layer, read_pool, read_pointwise, read_shape}) {
    if (read(node.type, *this)) return check_attributes();
  }
  fail("an operator that the layers have", formatted("{}; docs/onnx.md lists those that can be read", quoted(node.type)));
}

void GraphReader::check_attributes() const {
  std::set<std::string_view> names;
  for (const AttributeMessage& attribute : node_->attributes) {
    require(names.insert(attribute.name).second, "every attribute once", formatted("{} twice", quoted(attribute.name)));
    if (asked_.contains(attribute.name) || std::ranges::find(kWithoutEffect, attribute.name) != kWithoutEffect.end()) continue;
    fail("attributes that the layers have", quoted(attribute.name));
  }
}

void GraphReader::bind(std::string_view name, Symbol symbol) {
  if (const auto* made = std::get_if<Value>(&symbol)) {
    const auto uses = uses_.find(name);
    const auto [readers, is_first_name] = readers_.try_emplace(made->number, 0);
    // The node that gives a value another name reads it for that alone.
    readers->second += (uses == uses_.end() ? 0 : uses->second) - (is_first_name ? 0 : 1);
  }
  symbols_.insert_or_assign(name, std::move(symbol));
}

// ---- inputs ----------------------------------------------------------------------------------------------------------

const Symbol& GraphReader::find_symbol(std::string_view name) const {
  const auto found = symbols_.find(name);
  if (found == symbols_.end()) fail("inputs that nodes before it make", quoted(name));
  return found->second;
}

const Symbol& GraphReader::symbol(std::size_t i) const {
  require(has_input(i), formatted("at least {} inputs", i + 1), "fewer");
  return find_symbol(node_->inputs[i]);
}

bool GraphReader::reads_alone(std::size_t i) const {
  const auto* made = symbol_as<Value>(i);
  return (made ? readers_.at(made->number) : uses_.at(node_->inputs[i])) == 1;
}

int GraphReader::value(std::size_t i) {
  const Symbol& found = symbol(i);
  if (const auto* made = std::get_if<Value>(&found)) return made->number;
  const auto* function = std::get_if<Pointwise>(&found);
  require(function != nullptr, formatted("the network's values as input {}", i), "what no operation reads");
  const int number = resolve(function->value, function->function, *function->node);
  bind(node_->inputs[i], Value{number});
  return number;
}

int GraphReader::resolve(int value, const Expression::Pointer& function, const NodeMessage& node) {
  if (function->is_variable()) return value;
  if (const std::optional<Activation> known = function->activation()) return append(*known, {value}, node);
  const NodeMessage* const before = std::exchange(node_, &node);
  const Expression::Pointer &left = function->left(), &right = function->right();
  require(left != nullptr, "a function of the network's values", "a constant");
  if (right && !left->is_constant() && !right->is_constant()) {
    require(function->is_sum(), "a function of one value that the layers have, or a sum", "another function of two values");
    const int first = resolve(value, left, node), second = resolve(value, right, node);
    node_ = before;
    return append(op::Add{}, {first, second}, node);
  }
  const Expression::Pointer& inner = left->is_constant() ? right : left;
  const std::optional<Activation> last = function->last_step()->activation();
  require(last && !inner->is_constant() && !inner->is_variable(), "an activation that the layers have", "another function");
  const int x = resolve(value, inner, node);
  node_ = before;
  return append(*last, {x}, node);
}

// ---- attributes ------------------------------------------------------------------------------------------------------

bool GraphReader::has(std::string_view attribute) const {
  return std::ranges::find(node_->attributes, attribute, &AttributeMessage::name) != node_->attributes.end();
}

const AttributeMessage* GraphReader::find(std::string_view attribute, int type) const {
  asked_.insert(attribute);
  const auto found = std::ranges::find(node_->attributes, attribute, &AttributeMessage::name);
  if (found == node_->attributes.end()) return nullptr;
  require(found->type == 0 || found->type == type, formatted("{} of ONNX's attribute type {}", attribute, type),
          formatted("type {}", found->type));
  return &*found;
}

const TensorMessage* GraphReader::tensor(std::string_view attribute) const {
  const AttributeMessage* found = find(attribute, attribute::is_tensor);
  return found && found->tensor ? &*found->tensor : nullptr;
}

std::int64_t GraphReader::integer(std::string_view attribute, std::int64_t otherwise) const {
  const AttributeMessage* found = find(attribute, attribute::is_int);
  return found ? found->integer : otherwise;
}

double GraphReader::real(std::string_view attribute, double otherwise) const {
  const AttributeMessage* found = find(attribute, attribute::is_float);
  if (!found) return otherwise;
  char text[32];
  const char* const end = std::to_chars(text, text + sizeof text, found->real).ptr;
  double value = 0;
  std::from_chars(text, end, value);
  return value;
}

std::string_view GraphReader::text(std::string_view attribute, std::string_view otherwise) const {
  const AttributeMessage* found = find(attribute, attribute::is_string);
  return found ? found->text : otherwise;
}

std::vector<std::int64_t> GraphReader::integers(std::string_view attribute, const std::vector<std::int64_t>& otherwise) const {
  const AttributeMessage* found = find(attribute, attribute::is_ints);
  return found ? found->integers : otherwise;
}

int GraphReader::narrow(std::int64_t number) const {
  require(std::in_range<int>(number), "numbers of 31 bits", formatted("{}", number));
  return static_cast<int>(number);
}

// ---- outputs ---------------------------------------------------------------------------------------------------------

void GraphReader::set(Symbol symbol) { bind(node_->outputs[0], std::move(symbol)); }

int GraphReader::append(Op op, std::vector<int> inputs, const NodeMessage& node) {
  const Shape y = as_options(*this, [&] {
    if (std::holds_alternative<op::Add>(op)) {
      if (shape(inputs[0]) != shape(inputs[1])) {
        throw std::invalid_argument(formatted("a sum of {} and {}", shape(inputs[0]).string(), shape(inputs[1]).string()));
      }
      return shape(inputs[0]);
    }
    if (std::holds_alternative<op::Concat>(op)) {
      Shape all = shape(inputs[0]);
      for (std::size_t i = 1; i < inputs.size(); ++i) all = kernels::concat_shape(all, shape(inputs[i]));
      return all;
    }
    return layer_of(op, shape(inputs[0]))->output_shape(shape(inputs[0]));
  });
  graph_.values.push_back(y);
  const int output = static_cast<int>(graph_.values.size()) - 1;
  graph_.nodes.push_back({path_of(node), std::move(op), std::move(inputs), output});
  return output;
}

Op& GraphReader::maker(int value) { return graph_.nodes.at(static_cast<std::size_t>(value) - 1).op; }

// ---- names -----------------------------------------------------------------------------------------------------------

/// The layer's path: that of its weight, or else as the node's name has it. PyTorch's older exporter writes
/// "/layer1/layer1.0/conv1/Conv".
std::string GraphReader::path_of(const NodeMessage& node) const {
  constexpr std::string_view kWeight = ".weight";
  for (const std::string_view name : node.inputs) {
    if (name.ends_with(kWeight) && model_.initializers.contains(name))
      return std::string(name.substr(0, name.size() - kWeight.size()));
  }
  if (!node.name.starts_with('/')) return std::string(node.name);
  std::string path;
  std::string_view before, rest = node.name.substr(1);
  for (std::size_t slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
    const std::string_view scope = rest.substr(0, slash);
    // What is counted in a container has the container's name before its number.
    path = !before.empty() && lies_in(scope, before) ? joined_path(path, inside(scope, before)) : joined_path(path, scope);
    before = scope;
    rest.remove_prefix(slash + 1);
  }
  return path;
}

std::string GraphReader::label(const NodeMessage& node) const {
  const std::string_view name = !node.name.empty() || node.outputs.empty() ? node.name : node.outputs[0];
  return formatted("node {} {}", quoted(name), printable(node.type, kMaxNameBytes));
}

void GraphReader::fail(const std::string& expected, const std::string& found) const {
  file_.fail(node_->at, formatted("{} in {}", expected, label(*node_)), found);
}

}  // namespace gpucnn::onnx
