#include <gpucnn/layers/containers/residual_block.h>

#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

ResidualBlock::ResidualBlock(std::initializer_list<Child> body) : Sequential(body) {}

ResidualBlock::ResidualBlock(std::initializer_list<Child> body, Child shortcut) : Sequential(body) { take_shortcut(shortcut); }

ResidualBlock::ResidualBlock(std::vector<Child>&& body) : Sequential(std::move(body)) {}

ResidualBlock::ResidualBlock(std::vector<Child>&& body, Child shortcut) : Sequential(std::move(body)) { take_shortcut(shortcut); }

/// Refuses a name that a layer of the body has: both would lie under it in a state_dict.
void ResidualBlock::take_shortcut(const Child& child) {
  shortcut_.add(child, "shortcut");
  struct Names final : Members {
    std::set<std::string, std::less<>> taken;
    void operator()(std::string_view, Parameter&) override {}
    void operator()(std::string_view, Tensor&) override {}
    void operator()(std::string_view name, Module&) override {
      if (taken.emplace(name).second) return;
      throw std::invalid_argument(formatted("ResidualBlock: there is already a child '{}'", printable(name, kMaxNameBytes)));
    }
  } names;
  ResidualBlock::members(names);
}

Shape ResidualBlock::output_shape(const Shape& x) const {
  const Shape y = Sequential::output_shape(x);
  const Shape other = has_shortcut() ? shape_of(shortcut_[0], x) : x;
  if (y != other) {
    throw std::invalid_argument(formatted("the body makes {} of {}, the shortcut {}; they must be equal to be added", y.string(),
                                          x.string(), other.string()));
  }
  return y;
}

void ResidualBlock::members(Members& m) {
  Sequential::members(m);
  shortcut_.members(m);
}

std::unique_ptr<Module> ResidualBlock::copy() const {
  auto block = std::make_unique<ResidualBlock>(std::initializer_list<Child>());
  block->shortcut_ = shortcut_.copy();
  return copied_into(std::move(block));
}

/// The shortcut, the last child, reads x as the body does.
bool ResidualBlock::child_input_grad(std::size_t i) const { return i < size() ? Sequential::child_input_grad(i) : input_grad(); }

Tensor ResidualBlock::forward(const Tensor& x, Context& context) const {
  const Tensor body = forward_before_sum(x, context);
  return forward_sum(body, has_shortcut() ? shortcut_[0](x, context) : x, context);
}

int ResidualBlock::add_to(GraphBuilder& graph, int x) const {
  const int body = Sequential::add_to(graph, x);
  const int shortcut = has_shortcut() ? graph.add(shortcut_[0], x) : x;
  const Shape y = graph.shape(body);
  const int sum = graph.add(*this, "add", op::Add{}, {body, shortcut}, y);
  return graph.add(*this, "relu", Activation{Activation::relu}, {sum}, y);
}

Tensor ResidualBlock::gradients(const Tensor& dy, Context& context) {
  Tensor sum = Tensor::empty(dy.shape(), dy.dtype(), dy.device());  // the gradient of body(x) + shortcut(x)
  const Tensor before = gradients_of_sum(dy, sum, context);
  const Tensor shortcut = has_shortcut() ? shortcut_[0].backward(sum, context) : sum;
  return gradients_before_sum(before, shortcut, context);
}

void ResidualBlock::add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows) {
  Sequential::add_summary_rows(x, rows);
  for (const auto& entry : shortcut_) summarize(*entry.module, x, rows);
}

}  // namespace gpucnn
