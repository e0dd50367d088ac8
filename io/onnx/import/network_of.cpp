#include <gpucnn/io/onnx/import/network_of.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/onnx/import/layer_of.h>
#include <gpucnn/io/onnx/import/names.h>
#include <gpucnn/io/onnx/import/part_list.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/identity.h>

namespace gpucnn::onnx {
namespace {

using Parts = std::vector<Part>;

/// Branches in branches: torchvision's networks have 2.
constexpr int kMaxDepth = 50;

/// Goes from the output of a graph to its input.
class NetworkBuilder {
 public:
  explicit NetworkBuilder(const ModelGraph& graph)
      : graph_(graph),
        fork_(graph.values.size(), 0),
        depth_(graph.values.size(), 0),
        readers_(graph.values.size(), 0),
        placed_(graph.values.size(), false) {
    for (const ModelGraph::Node& node : graph.nodes) {
      int before = node.inputs[0];
      for (const int input : node.inputs) {
        before = nearest(before, input);
        ++readers_[at(input)];
      }
      fork_[at(node.output)] = before;
      depth_[at(node.output)] = depth_[at(before)] + 1;
    }
  }

  Parts row(int from, int to, int depth);

 private:
  static std::size_t at(int value) { return static_cast<std::size_t>(value); }
  const ModelGraph::Node& maker(int value) const { return graph_.nodes[at(value) - 1]; }
  template <class Operation>
  bool is_made_by(int value) const {
    return value > 0 && std::holds_alternative<Operation>(maker(value).op);
  }

  /// The last value that lies on every way from the input to both.
  int nearest(int a, int b) const {
    while (a != b) (depth_[at(a)] >= depth_[at(b)] ? a : b) = fork_[at(depth_[at(a)] >= depth_[at(b)] ? a : b)];
    return a;
  }

  const ModelGraph::Node& place(int value);
  Part layer(const ModelGraph::Node& node) const;
  Part sum(const ModelGraph::Node& node, bool with_relu, int depth);
  Part concat(const ModelGraph::Node& node, int depth);

  const ModelGraph& graph_;
  // Of each value: the last one that lies on every way to it, and how many there are of these; how many nodes read it; whether
  // its maker has a place in the network.
  std::vector<int> fork_, depth_, readers_;
  std::vector<bool> placed_;
};

const ModelGraph::Node& NetworkBuilder::place(int value) {
  const ModelGraph::Node& node = maker(value);
  if (placed_[at(value)]) {
    throw std::invalid_argument(
        formatted("node '{}' is read by branches that do not meet in one place; the network must be layers in a "
                  "row, and branches of it that are added or put side by side",
                  printable(node.path, kMaxNameBytes)));
  }
  placed_[at(value)] = true;
  return node;
}

/// What computes value `to` from value `from`, which lies on every way to it.
Parts NetworkBuilder::row(int from, int to, int depth) {
  if (depth > kMaxDepth) throw std::invalid_argument(formatted("more than {} branches lie in one another", kMaxDepth));
  Parts parts;
  for (int value = to; value != from; value = fork_[at(value)]) {
    const ModelGraph::Node& node = place(value);
    const int x = node.inputs[0];
    if (std::holds_alternative<op::Concat>(node.op)) {
      parts.push_back(concat(node, depth));
    } else if (std::holds_alternative<op::Add>(node.op)) {
      parts.push_back(sum(node, false, depth));
    } else if (const auto* activation = std::get_if<Activation>(&node.op);
               activation && activation->kind == Activation::relu && x != from && is_made_by<op::Add>(x) && readers_[at(x)] == 1) {
      value = x;
      parts.push_back(sum(place(x), true, depth));
    } else {
      parts.push_back(layer(node));
    }
  }
  std::ranges::reverse(parts);
  adopt(parts);
  return parts;
}

Part NetworkBuilder::layer(const ModelGraph::Node& node) const {
  const bool has_values = std::holds_alternative<op::Conv2d>(node.op) || std::holds_alternative<op::Linear>(node.op) ||
                          std::holds_alternative<op::BatchNorm2d>(node.op) || std::holds_alternative<op::GroupNorm>(node.op);
  return {node.path, filled_layer_of(node.op, graph_.values[at(node.inputs[0])]), has_values};
}

/// The path of a container: the node's own or the one around it, if all parts lie in it.
std::string container_path(const std::string& path, const std::vector<Parts>& branches) {
  std::vector<std::string_view> paths;
  for (const Parts& branch : branches) {
    for (const Part& part : branch) paths.push_back(part.path);
  }
  const auto holds_all = [&](std::string_view outer) {
    return std::ranges::all_of(paths, [&](std::string_view each) { return lies_in(each, outer) && each.size() > outer.size(); });
  };
  for (const std::string_view outer : {std::string_view(path), parent(path)}) {
    if (!outer.empty() && holds_all(outer)) return std::string(outer);
  }
  if (paths.empty()) return path;
  std::string_view outer = parent(paths[0]);
  for (const std::string_view each : paths) outer = common(outer, parent(each));
  return std::string(outer);
}

bool any_has_values(const std::vector<Parts>& branches) {
  return std::ranges::any_of(
      branches, [](const Parts& branch) { return std::ranges::any_of(branch, [](const Part& part) { return part.has_values; }); });
}

Part NetworkBuilder::sum(const ModelGraph::Node& node, bool with_relu, int depth) {
  const int fork = fork_[at(node.output)];
  std::vector<Parts> branches;
  for (const int input : node.inputs) branches.push_back(row(fork, input, depth + 1));
  if (branches[0].empty()) std::swap(branches[0], branches[1]);
  Part part{container_path(node.path, branches), nullptr, any_has_values(branches)};
  const bool has_shortcut = !branches[1].empty();
  std::set<std::string> taken;
  if (!with_relu) {
    Child body = child_of(std::move(branches[0]), part.path, "body", taken);
    part.module = has_shortcut
                      ? std::make_unique<Residual>(std::move(body), child_of(std::move(branches[1]), part.path, "shortcut", taken))
                      : std::make_unique<Residual>(std::move(body));
    return part;
  }
  std::vector<Child> body = children_of(std::move(branches[0]), part.path, taken);
  part.module = has_shortcut ? std::make_unique<ResidualBlock>(std::move(body),
                                                               child_of(std::move(branches[1]), part.path, "shortcut", taken))
                             : std::make_unique<ResidualBlock>(std::move(body));
  return part;
}

Part NetworkBuilder::concat(const ModelGraph::Node& node, int depth) {
  const int fork = fork_[at(node.output)];
  std::vector<Parts> branches;
  for (const int input : node.inputs) branches.push_back(row(fork, input, depth + 1));
  Part part{container_path(node.path, branches), nullptr, any_has_values(branches)};
  std::set<std::string> taken;
  std::vector<Child> children;
  children.reserve(branches.size());
  for (Parts& branch : branches) children.push_back(child_of(std::move(branch), part.path, {}, taken));
  part.module = std::make_unique<Concat>(std::move(children));
  return part;
}

}  // namespace

std::unique_ptr<Sequential> network_of(const ModelGraph& graph) {
  NetworkBuilder builder(graph);
  std::set<std::string> taken;
  return std::make_unique<Sequential>(children_of(builder.row(0, graph.output, 0), {}, taken));
}

}  // namespace gpucnn::onnx
