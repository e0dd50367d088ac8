#include <gpucnn/layers/containers/concat.h>

#include <stdexcept>
#include <utility>

#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/kernels/combine/channels.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {

template <class List>
void Concat::add_all(const List& branches) {
  children_.add_all(branches);
  if (children_.size() == 0) throw std::invalid_argument("Concat: there is no branch");
}

Concat::Concat(std::initializer_list<Child> branches) { add_all(branches); }

Concat::Concat(std::vector<Child>&& branches) { add_all(branches); }

Shape Concat::output_shape(const Shape& x) const {
  refuse_moved_from(*this);
  Shape y = shape_of(children_[0], x);
  if (y.rank() < 2) throw std::invalid_argument("a branch makes " + y.string() + ", which has no channels");
  for (std::size_t i = 1; i < children_.size(); ++i) y = kernels::concat_shape(y, shape_of(children_[i], x));
  return y;
}

void Concat::members(Members& m) { children_.members(m); }

std::unique_ptr<Module> Concat::copy() const { return std::unique_ptr<Module>(new Concat(children_.copy())); }

Tensor Concat::forward(const Tensor& x, Context& context) const {
  Tensor y = Tensor::empty(output_shape(x.shape()), x.dtype(), x.device());
  std::int64_t first = 0;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    const Tensor part = children_[i](x, context);
    kernels::put_channels(part, first, y, context.stream());
    first += part.dim(1);
  }
  return y;
}

int Concat::add_to(GraphBuilder& graph, int x) const {
  std::vector<int> branches;
  for (const auto& entry : children_) branches.push_back(graph.add(*entry.module, x));
  if (branches.size() == 1) return branches[0];
  return graph.add(*this, {}, op::Concat{}, std::move(branches), output_shape(graph.shape(x)));
}

Tensor Concat::gradients(const Tensor& dy, Context& context) {
  std::int64_t first = 0;
  Tensor dx;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    Tensor part = Tensor::empty(shape_of(children_[i], context.x_shape()), dy.dtype(), dy.device());
    kernels::take_channels(dy, first, part, context.stream());
    first += part.dim(1);
    const Tensor more = children_[i].backward(part, context);
    if (!context.input_grad()) continue;
    if (!dx.defined()) {
      dx = more;
      continue;
    }
    Tensor sum = Tensor::empty(dx.shape(), dx.dtype(), dx.device());  // a branch may have given back memory that it keeps
    kernels::add(dx, more, sum, context.stream());
    dx = sum;
  }
  return dx;
}

}  // namespace gpucnn
