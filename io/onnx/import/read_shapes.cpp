#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/io/onnx/fields.h>
#include <gpucnn/io/onnx/import/graph_reader.h>

/// Nodes that change shapes, put values side by side, or do nothing, and what exporters compute shapes with.
/// https://github.com/onnx/onnx/blob/main/docs/Operators.md
namespace gpucnn::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

std::string text_of(const Integers& numbers) {
  std::vector<std::string> texts;
  for (const std::int64_t number : numbers) texts.push_back(number == kBatch ? "N" : std::to_string(number));
  return formatted("[{}]", joined(texts, ", "));
}

/// Whether `number`, in place `i` of a Reshape's shape, leaves an extent of this size as it is.
bool keeps(const GraphReader& from, std::int64_t number, std::int64_t size, bool is_batch) {
  if (number == 0 || number == -1) return true;  // -1: the others decide, and keep theirs
  return is_batch ? number == kBatch || number == from.batch() : number == size;
}

bool has_one_open(const Integers& to) { return std::ranges::count(to, -1) <= 1; }

/// Whether it leaves all of the shape as it is.
bool keeps_all(const GraphReader& from, const Integers& to, const Shape& x) {
  if (to.size() != static_cast<std::size_t>(x.rank()) || !has_one_open(to)) return false;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (!keeps(from, to[i], x[static_cast<int>(i)], i == 0)) return false;
  }
  return true;
}

/// The shape of Grouped, [N, groups, -1]; the groups.
std::optional<int> groups_of(const GraphReader& from, const Integers& to, const Shape& x) {
  if (x.rank() != 4 || to.size() != 3 || !keeps(from, to[0], 0, true) || to[1] < 1 || x[1] % to[1] != 0) return std::nullopt;
  if (to[2] != -1 && to[2] != x[1] / to[1] * x[2] * x[3]) return std::nullopt;
  return from.narrow(to[1]);
}

void read_reshape(GraphReader& from) {
  const Integers to = from.has_input(1) ? from.sizes(1).numbers : from.integers("shape", {});
  from.require(from.integer("allowzero", 0) == 0 || std::ranges::count(to, 0) == 0, "images with elements", "a shape of none");
  const auto refuse = [&](const std::string& of) {
    from.fail("a Reshape of images to rows of features, or to the same shape", formatted("{} of {}", text_of(to), of));
  };
  if (const auto* grouped = from.symbol_as<Grouped>(0)) {
    const Grouped known = *grouped;
    // A 0 would keep an extent of the groups.
    const bool names_all = !to.empty() && std::count(to.begin() + 1, to.end(), 0) == 0;
    if (!known.eps || !names_all || !keeps_all(from, to, from.shape(known.value))) refuse("groups");
    return from.add(op::GroupNorm{known.groups, *known.eps, {}, {}}, {known.value});
  }
  if (const auto* by_channel = from.symbol_as<ByChannel>(0)) {
    ByChannel known = *by_channel;
    const Shape& x = from.shape(known.value);
    const bool gathers = to == Integers{1, x[1], -1} && !known.one_image;
    const bool spreads = to == Integers{x[1], -1, x[2], x[3]} && known.norm;
    if (!gathers && !spreads) refuse("channels");
    known.one_image = gathers;
    return from.set(known);
  }
  const int x = from.value(0);
  const Shape& shape = from.shape(x);
  if (keeps_all(from, to, shape)) return from.set(Value{x});
  const std::int64_t features = shape.numel() / shape[0];
  if (to.size() == 2 && has_one_open(to) && keeps(from, to[0], 0, true) && (to[1] == -1 || to[1] == features)) {
    return from.add(op::Flatten{}, {x});
  }
  const std::optional<int> groups = groups_of(from, to, shape);
  if (!groups) refuse(shape.string());
  from.set(Grouped{x, *groups, std::nullopt});
}

void read_flatten(GraphReader& from) {
  const int x = from.value(0);
  const std::int64_t axis = from.integer("axis", 1);
  from.require(axis == 1 || axis == 1 - from.shape(x).rank(), "axis 1, all but the images", formatted("axis {}", axis));
  from.add(op::Flatten{}, {x});
}

Integers axes_of(const GraphReader& from) { return from.has_input(1) ? from.sizes(1).numbers : from.integers("axes", {}); }

/// [N, C, 1, 1] -> [N, C].
void read_squeeze(GraphReader& from) {
  Integers axes = axes_of(from);
  if (const auto* sizes = from.symbol_as<Sizes>(0)) return from.set(Sizes(*sizes));
  const int x = from.value(0);
  const Shape& shape = from.shape(x);
  for (std::int64_t& axis : axes) axis += axis < 0 ? shape.rank() : 0;
  std::ranges::sort(axes);
  from.require(shape.rank() == 4 && shape[2] == 1 && shape[3] == 1 && axes == Integers{2, 3}, "axes 2 and 3 of [N, C, 1, 1]",
               formatted("axes {} of {}", text_of(axes), shape.string()));
  from.add(op::Flatten{}, {x});
}

void read_transpose(GraphReader& from) {
  const Integers perm = from.integers("perm", {});
  if (const auto* constant = from.symbol_as<Constant>(0)) {
    from.require(constant->dims.size() == 2 && (perm.empty() || perm == Integers{1, 0}), "the transpose of a matrix", "another");
    return from.set(Constant{constant->tensor, constant->dims, !constant->transposed});
  }
  const Integers swapped{1, 0, 2, 3};
  if (const auto* by_channel = from.symbol_as<ByChannel>(0)) {
    from.require(perm == swapped && by_channel->norm && !by_channel->one_image, "the way back from a norm", "another");
    const ByChannel known = *by_channel;
    return from.add(*known.norm, {known.value});
  }
  const int x = from.value(0);
  if (from.shape(x).rank() == 4 && perm == swapped) return from.set(ByChannel{x});
  Integers same(static_cast<std::size_t>(from.shape(x).rank()));
  std::iota(same.begin(), same.end(), 0);
  from.require(perm == same, "a network of [N, C, H, W] throughout, without Transpose", text_of(perm));
  from.set(Value{x});
}

void read_concat(GraphReader& from) {
  const std::int64_t axis = from.integer("axis", 1);
  if (from.symbol_as<Sizes>(0) || from.is_constant(0)) {
    from.require(axis == 0 || axis == -1, "axis 0 of a shape", formatted("axis {}", axis));
    Sizes all;
    for (std::size_t i = 0; i < from.node().inputs.size(); ++i) {
      const Sizes part = from.sizes(i);
      all.numbers.insert(all.numbers.end(), part.numbers.begin(), part.numbers.end());
      from.require(all.numbers.size() <= Shape::kMaxRank, "a shape", "a longer list");
    }
    return from.set(all);
  }
  std::vector<int> values;
  for (std::size_t i = 0; i < from.node().inputs.size(); ++i) values.push_back(from.value(i));
  from.require(!values.empty(), "inputs", "none");
  const std::int64_t rank = from.shape(values[0]).rank();
  from.require(axis == 1 || axis == 1 - rank, "axis 1, the channels", formatted("axis {}", axis));
  if (values.size() == 1) return from.set(Value{values[0]});
  from.add(op::Concat{}, std::move(values));
}

void read_softmax(GraphReader& from) {
  const int x = from.value(0);
  const std::int64_t rank = from.shape(x).rank();
  const std::int64_t axis = from.integer("axis", from.operator_set() < 13 ? 1 : -1);
  from.require((axis == 1 || axis == 1 - rank) && (rank == 2 || from.operator_set() >= 13), "a Softmax over axis 1",
               formatted("axis {} of {}", axis, from.shape(x).string()));
  from.add(op::Softmax{}, {x});
}

void read_constant(GraphReader& from) {
  const TensorMessage* found = from.tensor("value");
  from.require(found != nullptr, "a tensor as the attribute \"value\"", "none");
  from.set(Constant{found, found->dims});
}

void read_shape_of(GraphReader& from) {
  const int x = from.value(0);
  const Shape& shape = from.shape(x);
  Sizes sizes{{shape.begin(), shape.end()}};
  sizes.numbers[0] = kBatch;
  const auto rank = static_cast<std::int64_t>(shape.rank());
  const auto place = [&](std::int64_t i) { return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const std::int64_t begin = place(from.integer("start", 0)), end = place(from.integer("end", rank));
  sizes.numbers.resize(static_cast<std::size_t>(end));
  sizes.numbers.erase(sizes.numbers.begin(), sizes.numbers.begin() + std::min(begin, end));
  from.set(sizes);
}

void read_gather(GraphReader& from) {
  const std::int64_t axis = from.integer("axis", 0);
  from.require(axis == 0 || axis == -1, "axis 0 of a shape", formatted("axis {}", axis));
  const Sizes all = from.sizes(0);
  Sizes some;
  for (const std::int64_t index : from.sizes(1).numbers) {
    const auto count = static_cast<std::int64_t>(all.numbers.size());
    const std::int64_t place = index < 0 ? index + count : index;
    from.require(place >= 0 && place < count && some.numbers.size() < Shape::kMaxRank, "places in a shape", formatted("{}", index));
    some.numbers.push_back(all.numbers[static_cast<std::size_t>(place)]);
  }
  from.set(some);
}

/// What gives its input on.
void read_same(GraphReader& from) {
  if (from.symbol_as<Pointwise>(0)) return from.set(Value{from.value(0)});
  const Symbol same = from.symbol(0);
  from.set(same);
}

/// Dropout does nothing in inference.
void read_dropout(GraphReader& from) {
  from.require(!from.has_input(2) || from.scalar(2) == 0.0, "a Dropout in inference mode; export with model.eval()",
               "one in training mode");
  read_same(from);
}

void read_unsqueeze(GraphReader& from) {
  Integers axes = axes_of(from);
  const auto* constant = from.symbol_as<Constant>(0);
  if (!constant) {
    from.require(from.symbol_as<Sizes>(0) != nullptr, "a shape", "what the network computes");
    return read_same(from);
  }
  Constant wider = *constant;
  const std::size_t rank = wider.dims.size() + axes.size();
  from.require(!wider.transposed && rank <= Shape::kMaxRank, "a tensor of few dimensions", "another");
  for (std::int64_t& axis : axes) axis += axis < 0 ? static_cast<std::int64_t>(rank) : 0;
  std::ranges::sort(axes);
  for (const std::int64_t axis : axes) {
    from.require(axis >= 0 && std::cmp_less_equal(axis, wider.dims.size()), "axes of the tensor", formatted("{}", axis));
    wider.dims.insert(wider.dims.begin() + axis, 1);
  }
  from.set(std::move(wider));
}

/// Whole numbers stay what they are as f32. The other way they would be cut.
void read_cast(GraphReader& from) {
  const std::int64_t to = from.integer("to", 0);
  if (from.symbol_as<Sizes>(0)) {
    from.require(to == tensor::is_int32 || to == tensor::is_int64 || to == tensor::is_float, "a type that holds a shape",
                 formatted("ONNX's type {}", to));
  } else {
    const auto* constant = from.symbol_as<Constant>(0);
    from.require(constant != nullptr, "a shape", "what the network computes");
    const std::int64_t type = constant->tensor->type;
    from.require(type == to || (type == tensor::is_int64 && to == tensor::is_float), "a type that holds the same numbers",
                 formatted("ONNX's type {} of {}", to, type));
  }
  read_same(from);
}

}  // namespace

bool read_shape(std::string_view type, GraphReader& from) {
  if (type == "Reshape") return read_reshape(from), true;
  if (type == "Flatten") return read_flatten(from), true;
  if (type == "Squeeze") return read_squeeze(from), true;
  if (type == "Transpose") return read_transpose(from), true;
  if (type == "Concat") return read_concat(from), true;
  if (type == "Softmax") return read_softmax(from), true;
  if (type == "Constant") return read_constant(from), true;
  if (type == "Shape") return read_shape_of(from), true;
  if (type == "Gather") return read_gather(from), true;
  if (type == "Identity") return read_same(from), true;
  if (type == "Dropout") return read_dropout(from), true;
  if (type == "Unsqueeze") return read_unsqueeze(from), true;
  if (type == "Cast") return read_cast(from), true;
  return false;
}

}  // namespace gpucnn::onnx
