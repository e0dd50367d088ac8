#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <vector>

#include <gpucnn/core/device.h>
#include <gpucnn/core/dtype.h>
#include <gpucnn/core/export.h>
#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/core/shape.h>

namespace gpucnn {

/// A dense array on a device: a handle to shared memory with a shape and a dtype. Copying the handle shares the memory;
/// `clone()` copies it. Shapes are PyTorch's, [N, C, H, W] for images. Memory of rank-4 tensors is channels-last (N, H, W, C) on
/// every device; any other rank is row-major. Conversion happens only in `from`, `to_vector` and their kin.
///
/// A tensor has no arithmetic: operations are in `gpucnn::kernels`, layers in `gpucnn`. Handles may be used from several threads
/// as long as nobody writes the memory they share.
class GPUCNN_API Tensor {
 public:
  /// An undefined tensor: no memory, no elements to read. Stands for "none".
  Tensor() noexcept = default;

  /// Memory of unspecified content. All makers throw `OutOfMemory` without room and `DeviceError` without the device.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = {});
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = {});
  /// Every element is `value`, rounded to f32.
  static Tensor full(const Shape& shape, float value, Device device = {});
  /// Standard normal f32 numbers: element e in logical order is Box and Muller's transform of words 2e and 2e + 1 of
  /// RandomStream(seed, Purpose::normal).
  static Tensor randn(const Shape& shape, std::uint64_t seed, Device device = {});

  /// A copy of host data in PyTorch's order (for rank 4: N, C, H, W). Throws `std::invalid_argument` unless the span has exactly
  /// `shape.numel()` elements.
  static Tensor from(std::span<const float> data, const Shape& shape, Device device = {});
  static Tensor from(std::span<const std::uint8_t> data, const Shape& shape, Device device = {});
  static Tensor from(std::span<const std::int32_t> data, const Shape& shape, Device device = {});
  static Tensor from(std::span<const std::int64_t> data, const Shape& shape, Device device = {});

  /// A copy of interleaved images (row by row, each pixel's C values together, as image files decode) into the logical shape
  /// [N, C, H, W].
  static Tensor from_nhwc(std::span<const std::uint8_t> data, const Shape& nchw, Device device = {});
  static Tensor from_nhwc(std::span<const float> data, const Shape& nchw, Device device = {});

  bool defined() const noexcept { return static_cast<bool>(storage_); }
  const Shape& shape() const noexcept { return shape_; }
  int rank() const noexcept { return shape_.rank(); }
  std::int64_t dim(int index) const { return shape_[index]; }
  std::int64_t numel() const noexcept { return shape_.numel(); }
  DType dtype() const noexcept { return dtype_; }
  Device device() const noexcept { return storage_ ? storage_->device : Device{}; }
  std::size_t nbytes() const noexcept { return static_cast<std::size_t>(numel()) * size_of(dtype_); }

  /// The same values on `device`: this handle if it is there already, otherwise a copy.
  Tensor to(Device device) const;

  /// A copy in memory of its own.
  Tensor clone() const;

  /// `count` slices of dimension 0 from `first` on, sharing memory. Throws `std::invalid_argument` outside [0, dim(0)].
  Tensor narrow(std::int64_t first, std::int64_t count) const;

  /// Overwrites the values with those of `source`, of the same shape and dtype, from any device. The two may share memory.
  void copy_from(const Tensor& source);

  /// The elements in PyTorch's order. Waits for the device. Throws `std::invalid_argument` unless T is the dtype's type, and
  /// `OutOfMemory` where there is no room for the copy.
  template <class T>
  std::vector<T> to_vector() const {
    require_dtype(dtype_of<T>, "to_vector");
    std::vector<T> values;
    try {
      values.resize(static_cast<std::size_t>(numel()));
    } catch (const std::bad_alloc&) {
      fail_copy();
    }
    copy_logical(values.data());
    return values;
  }

  /// The one element of an f32 tensor. Waits for the device.
  float item() const;

  /// The elements in memory order (channels-last for rank 4) of a tensor on the CPU. Throws `std::invalid_argument` unless T is the
  /// dtype's type, and for a tensor on a GPU, whose memory the CPU cannot read: `to(Device::cpu())` gives a copy.
  ///
  /// Whoever has the pointer of a tensor that is not const may write at any later time. So for the memory of all parameters of a
  /// model each prediction then compares them with those it has packed, which a const tensor's pointer spares it.
  template <class T>
  T* data() {
    require_dtype(dtype_of<T>, "data");
    require_on_cpu();
    return reinterpret_cast<T*>(bytes());
  }
  template <class T>
  const T* data() const {
    require_dtype(dtype_of<T>, "data");
    require_on_cpu();
    return reinterpret_cast<const T*>(bytes());
  }

  /// The same for kernels of one's own, on whatever device the tensor lies: of a GPU's memory only its kernels may follow the
  /// pointer. Throws `std::invalid_argument` unless T is the dtype's type.
  template <class T>
  T* device_data() {
    require_dtype(dtype_of<T>, "device_data");
    return reinterpret_cast<T*>(bytes());
  }
  template <class T>
  const T* device_data() const {
    require_dtype(dtype_of<T>, "device_data");
    return reinterpret_cast<const T*>(bytes());
  }

  /// The memory itself, on whatever device it lies; null when undefined.
  std::byte* bytes() noexcept {
    if (storage_) storage_->expose();
    return memory();
  }
  const std::byte* bytes() const noexcept { return memory(); }

  /// As `data`, for kernels that write now, before any other call, and never again: `version` tells of it.
  template <class T>
  T* rewrite() {
    require_dtype(dtype_of<T>, "rewrite");
    require_on_cpu();
    return reinterpret_cast<T*>(rewrite_bytes());
  }
  std::byte* rewrite_bytes() noexcept {
    if (storage_) storage_->note_write();
    return memory();
  }

  /// While this number and `bytes()` are the same, and the number is not 0, so are the values. 0: nobody knows, for `data`, `bytes`
  /// or `device_data` gave a pointer to write through, or nothing was written. It counts writes to all memory that is shared.
  std::uint64_t version() const noexcept {
    const std::uint64_t known = storage_ ? storage_->version.load(std::memory_order_relaxed) : Storage::kExposed;
    return known == Storage::kUnwritten ? Storage::kExposed : known;
  }

  /// A tensor over part of this one's memory, from element `first` in memory order on, in a shape of its own.
  Tensor view(std::int64_t first, const Shape& shape) const;

 private:
  Tensor(StoragePtr storage, const Shape& shape, DType dtype, std::size_t offset)
      : storage_(std::move(storage)), offset_(offset), shape_(shape), dtype_(dtype) {}
  static Tensor from_host(const void* data, std::size_t count, const Shape& shape, DType dtype, Device device,
                          bool in_memory_order);
  void require_dtype(DType dtype, const char* call) const;
  [[noreturn]] void fail_copy() const;
  void require_on_cpu() const {
    if (device().kind != Device::Kind::cpu) refuse_device();
  }
  [[noreturn]] void refuse_device() const;
  void copy_logical(void* to) const;
  std::byte* memory() const noexcept { return storage_ ? storage_->data + offset_ : nullptr; }

  StoragePtr storage_;
  std::size_t offset_ = 0;  // bytes into the storage
  Shape shape_;
  DType dtype_ = DType::f32;
};

}  // namespace gpucnn
