#include <cuda_runtime_api.h>

#include <cstring>
#include <limits>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/gpu/add.h>
#include <gpucnn/core/gpu/gpu_probe.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/host/host_memory.h>

// The backend of a build with CUDA: the CPU, and the GPUs that `gpu_probe` finds usable.
namespace gpucnn::backend {
namespace {

bool is_cpu(Device device) noexcept { return device.kind == Device::Kind::cpu; }

}  // namespace

bool cuda_usable(int index, std::string* reason) { return gpu::probe(index, reason); }

void* allocate(Device device, std::size_t bytes) noexcept {
  if (is_cpu(device)) return host_memory::allocate(bytes);
  void* memory = nullptr;
  const gpu::CurrentGpu current(device.index);
  if (current.status() != cudaSuccess || cudaMalloc(&memory, bytes) != cudaSuccess) {
    cudaGetLastError();  // the failure is told here, not in the next call
    return nullptr;
  }
  return memory;
}

void release(Device device, void* memory, std::size_t bytes) noexcept {
  if (is_cpu(device)) return host_memory::release(memory, bytes);
  // cudaFree waits for work that is queued. At the end of the process the driver may be gone already, and its memory with it.
  const gpu::CurrentGpu current(device.index);
  if (current.status() == cudaSuccess) cudaFree(memory);
}

std::uint64_t free_memory(Device device) noexcept {
  if (is_cpu(device)) return host_memory::free_bytes();
  std::size_t free = 0, total = 0;
  const gpu::CurrentGpu current(device.index);
  if (current.status() != cudaSuccess || cudaMemGetInfo(&free, &total) != cudaSuccess) {
    return std::numeric_limits<std::uint64_t>::max();
  }
  return free;
}

void copy(void* to, Device to_device, const void* from, Device from_device, std::size_t bytes) {
  if (bytes == 0) return;
  if (is_cpu(to_device) && is_cpu(from_device)) {
    std::memcpy(to, from, bytes);
    return;
  }
  if (is_cpu(to_device)) {
    gpu::Queue& queue = gpu::queue(from_device);
    queue.refuse_in_capture();
    gpu::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, queue.stream()), "cudaMemcpyAsync to the host");
    return queue.synchronize();
  }
  if (!is_cpu(from_device) && from_device != to_device) gpu::queue(from_device).synchronize();
  gpu::Queue& queue = gpu::queue(to_device);
  if (is_cpu(from_device)) {
    queue.refuse_in_capture();
    gpu::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, queue.stream()), "cudaMemcpyAsync to the GPU");
    queue.release_host_memory();  // most GPUs cannot read it themselves, and CUDA has taken a copy already
  } else if (from_device == to_device) {
    gpu::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, queue.stream()), "cudaMemcpyAsync on the GPU");
  } else {
    gpu::check(cudaMemcpyPeerAsync(to, to_device.index, from, from_device.index, bytes, queue.stream()), "cudaMemcpyPeerAsync");
    queue.synchronize();  // or the other GPU's next work could overwrite `from`
  }
}

void clear(Device device, void* memory, std::size_t bytes) {
  if (bytes == 0) return;
  if (is_cpu(device)) {
    std::memset(memory, 0, bytes);
  } else {
    gpu::check(cudaMemsetAsync(memory, 0, bytes, gpu::queue(device).stream()), "cudaMemsetAsync");
  }
}

void add(Device device, float* sum, const float* more, std::int64_t count) {
  if (is_cpu(device)) return host_memory::add(sum, more, count);
  gpu::add(device, sum, more, count);
}

int compute_capability(Device device) { return is_cpu(device) ? 0 : gpu::queue(device).compute_capability(); }

void synchronize(Device device) {
  if (!is_cpu(device)) gpu::queue(device).synchronize();
}

void* native_stream(Device device) { return is_cpu(device) ? nullptr : gpu::queue(device).current_stream(); }

}  // namespace gpucnn::backend
