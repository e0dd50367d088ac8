#include <gpucnn/core/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <stdexcept>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/host/host_memory.h>
#include <gpucnn/core/memory/layout.h>
#include <gpucnn/core/random_uniforms.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(shape.numel(), static_cast<std::int64_t>(size_of(dtype)), &bytes)) {
    throw std::invalid_argument(formatted("Tensor: {} of {} has more bytes than 63 bits count", shape.string(), name_of(dtype)));
  }
  return {allocate_storage(static_cast<std::size_t>(bytes), device), shape, dtype, 0};
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor made = empty(shape, dtype, device);
  backend::clear(device, made.rewrite_bytes(), made.nbytes());
  return made;
}

Tensor Tensor::full(const Shape& shape, float value, Device device) {
  Tensor host = empty(shape);
  std::fill_n(host.rewrite<float>(), host.numel(), value);
  return host.to(device);
}

Tensor Tensor::randn(const Shape& shape, std::uint64_t seed, Device device) {
  const RandomStream random(seed, Purpose::normal);
  Tensor flat = empty({shape.numel()});
  const std::span<float> values(flat.data<float>(), static_cast<std::size_t>(shape.numel()));
  random_uniforms(random, 2 * shape.numel(), [&values](std::int64_t first, const std::array<float, 4>& uniform) {
    for (std::size_t pair = 0; pair < 2; ++pair) {
      const std::size_t e = static_cast<std::size_t>(first) / 2 + pair;
      if (e == values.size()) break;
      // 1 - u is in (0, 1], where the logarithm is finite.
      const double radius = std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(uniform[2 * pair])));
      values[e] = static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * static_cast<double>(uniform[2 * pair + 1])));
    }
  });
  return from(values, shape, device);
}

Tensor Tensor::from_host(const void* data, std::size_t count, const Shape& shape, DType dtype, Device device,
                         bool in_memory_order) {
  if (count != static_cast<std::size_t>(shape.numel())) {
    throw std::invalid_argument(
        formatted("Tensor::from: {} holds {} elements, the data has {}", shape.string(), shape.numel(), count));
  }
  Tensor host = empty(shape, dtype);
  if (in_memory_order) {
    if (count) std::memcpy(host.rewrite_bytes(), data, host.nbytes());
  } else {
    layout::to_memory(static_cast<const std::byte*>(data), host.rewrite_bytes(), shape, size_of(dtype));
  }
  return host.to(device);
}

Tensor Tensor::from(std::span<const float> data, const Shape& shape, Device device) {
  return from_host(data.data(), data.size(), shape, DType::f32, device, false);
}

Tensor Tensor::from(std::span<const std::uint8_t> data, const Shape& shape, Device device) {
  return from_host(data.data(), data.size(), shape, DType::u8, device, false);
}

Tensor Tensor::from(std::span<const std::int32_t> data, const Shape& shape, Device device) {
  return from_host(data.data(), data.size(), shape, DType::i32, device, false);
}

Tensor Tensor::from(std::span<const std::int64_t> data, const Shape& shape, Device device) {
  return from_host(data.data(), data.size(), shape, DType::i64, device, false);
}

namespace {

void require_images(const Shape& nchw) {
  if (nchw.rank() != 4) {
    throw std::invalid_argument(formatted("Tensor::from_nhwc: expects a shape [N, C, H, W], got {}", nchw.string()));
  }
}

}  // namespace

Tensor Tensor::from_nhwc(std::span<const std::uint8_t> data, const Shape& nchw, Device device) {
  require_images(nchw);
  return from_host(data.data(), data.size(), nchw, DType::u8, device, true);
}

Tensor Tensor::from_nhwc(std::span<const float> data, const Shape& nchw, Device device) {
  require_images(nchw);
  return from_host(data.data(), data.size(), nchw, DType::f32, device, true);
}

Tensor Tensor::to(Device device) const {
  if (!defined() || device == this->device()) return *this;
  Tensor there = empty(shape_, dtype_, device);
  there.copy_from(*this);
  return there;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor copy = empty(shape_, dtype_, device());
  copy.copy_from(*this);
  return copy;
}

void Tensor::copy_from(const Tensor& source) {
  if (!defined() || !source.defined() || shape_ != source.shape_ || dtype_ != source.dtype_) {
    throw std::invalid_argument(formatted("Tensor::copy_from: expects {} {}, got {} {}", shape_.string(), name_of(dtype_),
                                          source.shape_.string(), source.defined() ? name_of(source.dtype_) : "undefined"));
  }
  if (memory() == source.memory()) return;
  const bool overlaps =
      device() == source.device() && memory() < source.memory() + nbytes() && source.memory() < memory() + nbytes();
  if (overlaps) return copy_from(source.clone());
  backend::copy(rewrite_bytes(), device(), source.memory(), source.device(), nbytes());
}

Tensor Tensor::narrow(std::int64_t first, std::int64_t count) const {
  if (rank() == 0 || first < 0 || count < 0 || first > dim(0) - count) {
    throw std::invalid_argument(formatted("Tensor::narrow: {} slices from {} on are not in {}", count, first, shape_.string()));
  }
  const Shape part = shape_.with(0, count);
  return view(first > 0 ? first * shape_.with(0, 1).numel() : 0, part);
}

Tensor Tensor::view(std::int64_t first, const Shape& shape) const {
  if (!defined() || first < 0 || first > numel() - shape.numel()) {
    throw std::invalid_argument(
        formatted("Tensor::view: {} from element {} on is not in {}", shape.string(), first, shape_.string()));
  }
  return {storage_, shape, dtype_, offset_ + static_cast<std::size_t>(first) * size_of(dtype_)};
}

float Tensor::item() const {
  require_dtype(DType::f32, "item");
  if (numel() != 1) throw std::invalid_argument(formatted("Tensor::item: expects one element, got {}", shape_.string()));
  float value = 0;
  backend::copy(&value, Device::cpu(), bytes(), device(), sizeof value);
  return value;
}

void Tensor::refuse_device() const {
  throw std::invalid_argument(formatted(
      "Tensor::data: the tensor lies on {}, whose memory the CPU cannot read; to(Device::cpu()) gives a copy", device().string()));
}

void Tensor::require_dtype(DType dtype, const char* call) const {
  if (!defined()) throw std::invalid_argument(formatted("Tensor::{}: the tensor is undefined", call));
  if (dtype != dtype_) {
    throw std::invalid_argument(formatted("Tensor::{}: the tensor is {}, asked for as {}", call, name_of(dtype_), name_of(dtype)));
  }
}

void Tensor::fail_copy() const { host_memory::fail(nbytes()); }

void Tensor::copy_logical(void* to) const {
  const Tensor host = this->to(Device::cpu());
  layout::to_logical(host.bytes(), static_cast<std::byte*>(to), shape_, size_of(dtype_));
}

}  // namespace gpucnn
