#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gpucnn/core/gpu/dynamic_shared.h>
#include <gpucnn/core/gpu/nvtx_range.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/stream.h>

#include "emulator/device_language.h"
#include "standins/gpu_state.h"

/// What core/gpu/launch.h is to nvcc, for kernels that are compiled as C++ and run by the emulator.
namespace gpucnn {

struct LaunchShape {
  std::int64_t blocks;
  int threads;
  std::size_t shared_bytes = 0;
  bool overlaps_previous = false;
};

namespace emulator {

template <class... Parameters>
class KernelCall final : public Kernel {
 public:
  KernelCall(const char* kernel_name, std::uint32_t grid, const LaunchShape& shape, void (*kernel)(Parameters...),
             Parameters... arguments)
      : Kernel(kernel_name, grid, shape.threads, shape.shared_bytes),
        kernel_(kernel),
        given_(arguments...),
        translated_(arguments...) {
    overlaps_previous = shape.overlaps_previous;
  }

  void translate(int gpu) override {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((std::get<I>(translated_) = translated(std::get<I>(given_), static_cast<int>(I) + 1, gpu)), ...);
    }
    (std::index_sequence_for<Parameters...>());
  }
  void call() const override { std::apply(kernel_, translated_); }
  const void* address() const override { return reinterpret_cast<const void*>(kernel_); }

 private:
  template <class T>
  T translated(T argument, int number, int gpu) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if constexpr (std::is_pointer_v<T>) {
      return static_cast<T>(const_cast<void*>(standin::kernel_pointer(argument, name, number, gpu)));
    } else {
      return argument;
    }
  }

  void (*kernel_)(Parameters...);
  std::tuple<Parameters...> given_, translated_;
};

}  // namespace emulator

template <class... Parameters>
void launch(const Stream& stream, const char* name, const LaunchShape& shape, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  if (shape.blocks <= 0) return;
  gpu::Queue& queue = gpu::queue(stream.device());
  const gpu::Range range(name);
  const auto blocks = static_cast<std::uint32_t>(std::min<std::int64_t>(shape.blocks, gpu::kMaxBlocks));
  auto call = std::make_shared<emulator::KernelCall<Parameters...>>(name, blocks, shape, kernel, arguments...);
  if (shape.shared_bytes > 0) gpu::allow_dynamic_shared(queue, call->address(), name, shape.shared_bytes);
  gpu::check(standin::enqueue_kernel(queue.stream(), std::move(call)), name);
  queue.after_launch(name);
}

#define GPUCNN_SHARED(type, name, count)                              \
  static ::gpucnn::emulator::SharedSite name##_site;                  \
  auto& name = *static_cast<std::remove_reference_t<type>(*)[count]>( \
      ::gpucnn::emulator::shared_memory(name##_site, sizeof(type) * (count)))

#define GPUCNN_UNROLL
#define GPUCNN_NO_UNROLL

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(emulator::dynamic_shared_memory());
}

}  // namespace gpucnn
