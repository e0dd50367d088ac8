#include <cstdlib>
#include <cstring>
#include <map>

#include <fmt/format.h>

#include "gpu_state.h"

namespace gpucnn::standin {
namespace {

/// In no address of a process: what has this bit, the host cannot follow.
constexpr std::uintptr_t kOnDevice = std::uintptr_t{1} << 62;
constexpr std::size_t kAlignment = 256;

struct Block {
  std::size_t bytes;
  int gpu;
};

/// Blocks by address; those of the devices as the host sees them.
struct Memory {
  std::map<std::uintptr_t, Block> device, pinned;
  std::map<int, std::size_t> used;
};

Memory& memory() {
  static Memory& the = *new Memory;
  return the;
}

std::uintptr_t number(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

/// The block that begins at or before the address; null if there is none.
const std::pair<const std::uintptr_t, Block>* block_before(const std::map<std::uintptr_t, Block>& blocks, std::uintptr_t address) {
  const auto next = blocks.upper_bound(address);
  return next == blocks.begin() ? nullptr : &*std::prev(next);
}

bool contains(const std::map<std::uintptr_t, Block>& blocks, std::uintptr_t address, std::size_t bytes) {
  const auto* found = block_before(blocks, address);
  return found && address - found->first <= found->second.bytes && bytes <= found->second.bytes - (address - found->first);
}

}  // namespace

bool is_device_pointer(const void* pointer) { return (number(pointer) & kOnDevice) != 0; }

bool is_pinned(const void* pointer, std::size_t bytes) {
  const std::scoped_lock lock(mutex());
  return contains(memory().pinned, number(pointer), bytes);
}

void* host_address(const void* device_pointer, std::size_t bytes, int gpu, std::string_view what) {
  if (!device_pointer && bytes == 0) return nullptr;
  if (!is_device_pointer(device_pointer)) stop(fmt::format("{} is no device memory", what));
  const std::scoped_lock lock(mutex());
  const std::uintptr_t address = number(device_pointer) & ~kOnDevice;
  if (!contains(memory().device, address, bytes)) {
    const auto* before = block_before(memory().device, address);
    const bool freed = !before || address - before->first > before->second.bytes;
    stop(freed ? fmt::format("{} lies in no block of device memory: was it freed?", what)
               : fmt::format("{}: {} bytes from byte {} of a block of {}", what, bytes, address - before->first,
                             before->second.bytes));
  }
  const int owner = block_before(memory().device, address)->second.gpu;
  if (gpu >= 0 && owner != gpu) stop(fmt::format("{} lies on GPU {}, and GPU {} asks for it", what, owner, gpu));
  return reinterpret_cast<void*>(address);
}

const void* kernel_pointer(const void* argument, const char* kernel, int number_of_argument, int gpu) {
  if (!argument) return argument;
  if (is_device_pointer(argument)) {
    return host_address(argument, 0, gpu, fmt::format("argument {} of kernel {}", number_of_argument, kernel));
  }
  if (!is_pinned(argument, 1)) stop(fmt::format("kernel {} got a host pointer as argument {}", kernel, number_of_argument));
  return argument;
}

}  // namespace gpucnn::standin

using namespace gpucnn::standin;  // cudart's functions are in no namespace

void* gpucnn_standin_address(const void* device_pointer, std::size_t bytes) {
  if (!device_pointer) return nullptr;
  return host_address(device_pointer, bytes, -1, "an argument of a vendor library");
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  if (availability() != cudaSuccess) return result(availability());
  const std::scoped_lock lock(mutex());
  ++calls().mallocs;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  std::size_t& used = memory().used[current_gpu()];
  void* block = nullptr;
  if (bytes > settings().memory - used || posix_memalign(&block, kAlignment, bytes) != 0) return result(cudaErrorMemoryAllocation);
  std::memset(block, 0xFF, bytes);  // whatever reads it before it is written gets NaN
  used += bytes;
  memory().device[number(block)] = {bytes, current_gpu()};
  *pointer = reinterpret_cast<void*>(number(block) | kOnDevice);
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  if (availability() != cudaSuccess) return result(availability());
  const std::scoped_lock lock(mutex());
  ++calls().frees;
  if (!pointer) return cudaSuccess;
  const auto found = memory().device.find(number(pointer) & ~kOnDevice);
  if (!is_device_pointer(pointer) || found == memory().device.end()) return result(cudaErrorInvalidValue);
  run_all(found->second.gpu);
  memory().used[found->second.gpu] -= found->second.bytes;
  std::free(reinterpret_cast<void*>(found->first));
  memory().device.erase(found);
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  if (availability() != cudaSuccess) return result(availability());
  const std::scoped_lock lock(mutex());
  *attributes = {};
  const auto* block = block_before(memory().device, number(pointer) & ~kOnDevice);
  if (!is_device_pointer(pointer) || !block) return cudaSuccess;  // memory that CUDA does not know
  attributes->type = cudaMemoryTypeDevice;
  attributes->device = block->second.gpu;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  if (availability() != cudaSuccess) return result(availability());
  const std::scoped_lock lock(mutex());
  *total = settings().memory;
  *free = settings().memory - memory().used[current_gpu()];
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  if (availability() != cudaSuccess) return result(availability());
  const std::scoped_lock lock(mutex());
  if (posix_memalign(pointer, kAlignment, bytes) != 0) return result(cudaErrorMemoryAllocation);
  std::memset(*pointer, 0xFF, bytes);
  memory().pinned[number(*pointer)] = {bytes, -1};
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* pointer) {
  const std::scoped_lock lock(mutex());
  if (!pointer) return cudaSuccess;
  if (memory().pinned.erase(number(pointer)) == 0) return result(cudaErrorInvalidValue);
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  if (!is_pinned(host, 1)) return result(cudaErrorInvalidValue);
  *device = host;
  return cudaSuccess;
}
