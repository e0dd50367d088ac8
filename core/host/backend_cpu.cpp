#include <cstring>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/host/host_memory.h>

// The backend of a build without CUDA: one device, the CPU.
namespace gpucnn::backend {

bool cuda_usable(int, std::string* reason) {
  if (reason) *reason = "this build of libgpucnn has no CUDA code";
  return false;
}

void* allocate(Device device, std::size_t bytes) noexcept {
  return device == Device::cpu() ? host_memory::allocate(bytes) : nullptr;
}

void release(Device, void* memory, std::size_t bytes) noexcept { host_memory::release(memory, bytes); }

std::uint64_t free_memory(Device) noexcept { return host_memory::free_bytes(); }

void copy(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes) {
  to_device.require();
  from_device.require();
  if (bytes) std::memcpy(to, from, bytes);
}

void clear(Device device, void* memory, std::size_t bytes) {
  device.require();
  if (bytes) std::memset(memory, 0, bytes);
}

void add(Device device, float* sum, const float* more, std::int64_t count) {
  device.require();
  host_memory::add(sum, more, count);
}

int compute_capability(Device device) {
  device.require();
  return 0;
}

void synchronize(Device device) { device.require(); }

void* native_stream(Device device) {
  device.require();
  return nullptr;
}

}  // namespace gpucnn::backend
