#include <gpucnn/layers/containers/residual.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

Residual::Residual(Child body) { children_.add(body, "body"); }

Residual::Residual(Child body, Child shortcut) : Residual(std::move(body)) { children_.add(shortcut, "shortcut"); }

Shape Residual::output_shape(const Shape& x) const {
  refuse_moved_from(*this);
  const Shape y = shape_of(children_[0], x);
  const Shape other = has_shortcut() ? shape_of(children_[1], x) : x;
  if (y != other) {
    throw std::invalid_argument(formatted("the body makes {} of {}, the shortcut {}; they must be equal to be added", y.string(),
                                          x.string(), other.string()));
  }
  return y;
}

void Residual::members(Members& m) { children_.members(m); }

std::unique_ptr<Module> Residual::copy() const { return std::unique_ptr<Module>(new Residual(children_.copy())); }

Tensor Residual::forward(const Tensor& x, Context& context) const {
  const Tensor body = children_[0](x, context);
  const Tensor shortcut = has_shortcut() ? children_[1](x, context) : x;
  Tensor y = Tensor::empty(body.shape(), body.dtype(), body.device());
  kernels::add(body, shortcut, y, context.stream());
  return y;
}

int Residual::add_to(GraphBuilder& graph, int x) const {
  const int body = graph.add(children_[0], x);
  const int shortcut = has_shortcut() ? graph.add(children_[1], x) : x;
  return graph.add(*this, "add", op::Add{}, {body, shortcut}, graph.shape(body));
}

Tensor Residual::gradients(const Tensor& dy, Context& context) {
  const Tensor body = children_[0].backward(dy, context);
  const Tensor shortcut = has_shortcut() ? children_[1].backward(dy, context) : dy;
  if (!context.input_grad()) return {};
  Tensor dx = Tensor::empty(body.shape(), body.dtype(), body.device());
  kernels::add(body, shortcut, dx, context.stream());
  return dx;
}

}  // namespace gpucnn
