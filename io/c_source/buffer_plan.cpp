#include <gpucnn/io/c_source/buffer_plan.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>

namespace gpucnn {
namespace {

constexpr int kNobody = -1;

/// Floats that are written and read together: a value, and those that take its place.
struct Block {
  std::int64_t floats;
  int first, last;  // the nodes between which it is needed
  BufferPlan::Where where = BufferPlan::Where::memory;
  std::int64_t offset = 0;

  bool meets(const Block& other) const { return first <= other.last && other.first <= last; }
};

/// Whether y may be written where an input lies.
bool works_in_place(const ModelGraph::Node& node) {
  const auto* norm = std::get_if<op::BatchNorm2d>(&node.op);
  return std::holds_alternative<Activation>(node.op) || std::holds_alternative<op::Add>(node.op) ||
         std::holds_alternative<op::Softmax>(node.op) || (norm && norm->running_mean.defined());
}

class Planner {
 public:
  explicit Planner(const ModelGraph& graph) : graph_(graph), block_of_(graph.values.size(), kNobody) {}

  BufferPlan plan() {
    find_last_readers();
    share_blocks();
    Block& y = block(graph_.output);
    if (y.where == BufferPlan::Where::memory) y.where = BufferPlan::Where::output;
    BufferPlan plan{.floats = lay_out()};
    for (std::size_t value = 0; value < block_of_.size(); ++value) {
      const Block& its = block(static_cast<int>(value));
      plan.places.push_back({its.where, its.offset});
    }
    return plan;
  }

 private:
  Block& block(int value) { return blocks_[static_cast<std::size_t>(block_of_[static_cast<std::size_t>(value)])]; }
  int& last_reader(int value) { return last_readers_[static_cast<std::size_t>(value)]; }

  void find_last_readers() {
    last_readers_.assign(graph_.values.size(), kNobody);
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      for (const int input : graph_.nodes[static_cast<std::size_t>(i)].inputs) last_reader(input) = i;
    }
    last_reader(graph_.output) = std::numeric_limits<int>::max();
  }

  /// Gives each value a block: a new one, or that of an input.
  void share_blocks() {
    blocks_.push_back({graph_.values[0].numel(), kNobody, last_reader(0), BufferPlan::Where::input});
    block_of_[0] = 0;
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      const ModelGraph::Node& node = graph_.nodes[static_cast<std::size_t>(i)];
      const int shared = shared_input(node, i);
      if (shared == kNobody) {
        blocks_.push_back({graph_.values[static_cast<std::size_t>(node.output)].numel(), i, i});
        block_of_[static_cast<std::size_t>(node.output)] = static_cast<int>(blocks_.size()) - 1;
      } else {
        block_of_[static_cast<std::size_t>(node.output)] = block_of_[static_cast<std::size_t>(shared)];
      }
      Block& its = block(node.output);
      its.last = std::max(its.last, last_reader(node.output));
    }
  }

  /// The input whose place the node's output takes.
  int shared_input(const ModelGraph::Node& node, int i) {
    if (is_view(node)) return node.inputs[0];
    if (!works_in_place(node)) return kNobody;
    for (const int input : node.inputs) {
      if (block(input).where == BufferPlan::Where::memory && block(input).last <= i) return input;
    }
    return kNobody;
  }

  /// Offsets of the blocks in memory, the largest first, each as low as those let it that are needed at the same time. Returns the
  /// length of it all.
  std::int64_t lay_out() {
    std::vector<std::size_t> order(blocks_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return blocks_[a].floats > blocks_[b].floats; });
    std::vector<const Block*> placed;  // by offset
    std::int64_t length = 0;
    for (const std::size_t i : order) {
      Block& its = blocks_[i];
      if (its.where != BufferPlan::Where::memory) continue;
      for (const Block* other : placed) {
        if (other->meets(its) && its.offset + its.floats > other->offset)
          its.offset = std::max(its.offset, other->offset + other->floats);
      }
      const auto behind = std::ranges::find_if(placed, [&](const Block* other) { return other->offset > its.offset; });
      placed.insert(behind, &its);
      length = std::max(length, its.offset + its.floats);
    }
    return length;
  }

  const ModelGraph& graph_;
  std::vector<int> block_of_, last_readers_;  // of each value
  std::vector<Block> blocks_;
};

}  // namespace

bool is_view(const ModelGraph::Node& node) {
  const auto* function = std::get_if<Activation>(&node.op);
  return std::holds_alternative<op::Flatten>(node.op) || (function && function->kind == Activation::none);
}

BufferPlan plan_buffers(const ModelGraph& graph) { return Planner(graph).plan(); }

}  // namespace gpucnn
