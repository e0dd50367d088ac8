#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include <gpucnn/io/onnx/fields.h>
#include <gpucnn/io/onnx/import/graph_reader.h>
#include <gpucnn/io/onnx/import/transposed.h>

/// Tensors of the file, and shapes, as the inputs of a node.
namespace gpucnn::onnx {

Shape GraphReader::shape_of(const TensorMessage& tensor, std::size_t element_bytes) const {
  if (tensor.is_external) {
    fail("weights inside the file; torch.onnx.export(…, external_data=False) writes them there",
         formatted("{} in the file {}", quoted(tensor.name), quoted(tensor.location)));
  }
  require(tensor.dims.size() <= Shape::kMaxRank, formatted("tensors of at most {} dimensions", Shape::kMaxRank),
          formatted("{} with {}", quoted(tensor.name), tensor.dims.size()));
  const Shape shape = as_options(*this, [&] { return Shape::from(tensor.dims); });
  if (tensor.raw && (shape.numel() > std::numeric_limits<std::int32_t>::max() ||
                     tensor.raw->size() != static_cast<std::size_t>(shape.numel()) * element_bytes)) {
    fail(formatted("the elements of {}, {}", quoted(tensor.name), shape.string()), formatted("{} bytes", tensor.raw->size()));
  }
  return shape;
}

std::vector<float> GraphReader::floats(const TensorMessage& tensor) const {
  require(tensor.type == tensor::is_float, formatted("f32 as elements of {}", quoted(tensor.name)),
          formatted("ONNX's type {}", tensor.type));
  const auto count = static_cast<std::size_t>(shape_of(tensor, sizeof(float)).numel());
  std::vector<float> values = tensor.floats;
  if (tensor.raw) {
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), tensor.raw->data(), count * sizeof(float));
  }
  require(values.size() == count, formatted("{} elements of {}", count, quoted(tensor.name)), formatted("{}", values.size()));
  return values;
}

std::vector<std::int64_t> GraphReader::whole_numbers(const TensorMessage& tensor) const {
  require(tensor.type == tensor::is_int64, formatted("i64 as elements of {}", quoted(tensor.name)),
          formatted("ONNX's type {}", tensor.type));
  const auto count = static_cast<std::size_t>(shape_of(tensor, sizeof(std::int64_t)).numel());
  std::vector<std::int64_t> values = tensor.integers;
  if (tensor.raw) {
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), tensor.raw->data(), count * sizeof(std::int64_t));
  }
  require(values.size() == count, formatted("{} elements of {}", count, quoted(tensor.name)), formatted("{}", values.size()));
  return values;
}

bool GraphReader::is_true(const TensorMessage& tensor) const {
  shape_of(tensor, 1);
  if (tensor.raw) return (*tensor.raw)[0] != 0;
  require(tensor.integers.size() == 1, formatted("one truth value in {}", quoted(tensor.name)),
          formatted("{}", tensor.integers.size()));
  return tensor.integers[0] != 0;
}

Tensor GraphReader::tensor(std::size_t i) {
  const auto* constant = symbol_as<Constant>(i);
  require(constant != nullptr, formatted("a tensor of the file as input {}", i), "what the network computes");
  std::vector<float> values = floats(*constant->tensor);
  // Weights may be shared, but not so often that a small file fills the memory.
  converted_ += values.size() * sizeof(float);
  constexpr std::uint64_t kSpare = 1 << 20;
  require(converted_ <= 8 * file_.bytes.size() + kSpare, "weights of about the size of the file", "some that are used too often");
  const Tensor read = Tensor::from(values, Shape::from(constant->dims));
  return constant->transposed ? transposed(read) : read;
}

Tensor GraphReader::channels(std::size_t i, std::int64_t count) {
  Tensor values = tensor(i);
  require(values.shape() == Shape{count}, formatted("{} numbers as input {}", count, i), values.shape().string());
  return values;
}

std::vector<std::int64_t> GraphReader::dims(std::size_t i) const {
  const auto* constant = symbol_as<Constant>(i);
  require(constant != nullptr, formatted("a tensor of the file as input {}", i), "what the network computes");
  return constant->transposed ? std::vector{constant->dims[1], constant->dims[0]} : constant->dims;
}

bool GraphReader::is_per_channel(std::size_t i, const Shape& y) const {
  if (!symbol_as<Constant>(i)) return false;
  std::vector<std::int64_t> extents = dims(i);
  const auto rank = static_cast<std::size_t>(y.rank());
  if (extents.size() > rank) return false;
  extents.insert(extents.begin(), rank - extents.size(), 1);
  for (std::size_t dim = 0; dim < rank; ++dim) {
    if (extents[dim] != (dim == 1 ? y[1] : 1)) return false;
  }
  return true;
}

std::optional<double> GraphReader::scalar(std::size_t i) const {
  const auto* constant = symbol_as<Constant>(i);
  if (!constant || std::ranges::any_of(constant->tensor->dims, [](std::int64_t extent) { return extent != 1; }))
    return std::nullopt;
  if (constant->tensor->type == tensor::is_int64) return static_cast<double>(whole_numbers(*constant->tensor)[0]);
  if (constant->tensor->type == tensor::is_bool) return is_true(*constant->tensor) ? 1 : 0;
  return double{floats(*constant->tensor)[0]};
}

Sizes GraphReader::sizes(std::size_t i) const {
  if (const auto* known = symbol_as<Sizes>(i)) return *known;
  const auto* constant = symbol_as<Constant>(i);
  require(constant != nullptr, formatted("numbers as input {} that are known before the network runs", i), "what it computes");
  require(constant->dims.size() <= 1, formatted("numbers in one dimension as input {}", i),
          formatted("{} dimensions", constant->dims.size()));
  return {whole_numbers(*constant->tensor)};
}

}  // namespace gpucnn::onnx
