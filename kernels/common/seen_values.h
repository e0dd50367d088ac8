#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels::cpu {

/// What was made from a tensor on the CPU, such as packed weights, remembers by this which values it was made from. One thread.
///
/// Where the tensor's version is known, that tells. Elsewhere the bits are compared with a copy, for somebody may have written
/// through a pointer.
class SeenValues {
 public:
  /// Whether `tensor`, which may be undefined, has the values that were noted last.
  bool are_those_of(const Tensor& tensor) const noexcept {
    if (!noted_ || nbytes_ != tensor.nbytes() || is_defined_ != tensor.defined()) return false;
    if (version_ != 0 && version_ == tensor.version() && memory_ == tensor.bytes()) return true;
    return !is_defined_ || (copy_.defined() && std::memcmp(copy_.bytes(), tensor.bytes(), nbytes_) == 0);
  }

  /// Call it after what is made of them is made, or `forget` before: an exception must not leave the new values noted.
  void note(const Tensor& tensor) {
    noted_ = false;
    memory_ = tensor.bytes();
    nbytes_ = tensor.nbytes();
    version_ = tensor.version();
    is_defined_ = tensor.defined();
    copy_ = version_ == 0 ? tensor.clone() : Tensor{};
    noted_ = true;
  }
  void forget() noexcept { noted_ = false; }

 private:
  bool noted_ = false, is_defined_ = false;
  const std::byte* memory_ = nullptr;
  std::size_t nbytes_ = 0;
  std::uint64_t version_ = 0;
  Tensor copy_;
};

}  // namespace gpucnn::kernels::cpu
