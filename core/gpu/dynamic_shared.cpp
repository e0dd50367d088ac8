#include <gpucnn/core/gpu/dynamic_shared.h>

#include <map>
#include <mutex>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn::gpu {

void allow_dynamic_shared(const Queue& queue, const void* kernel, const char* name, std::size_t bytes) {
  static std::mutex& mutex = *new std::mutex;
  static auto& allowed = *new std::map<std::pair<int, const void*>, std::size_t>;
  const std::scoped_lock lock(mutex);
  const std::pair key(queue.index(), kernel);
  const auto found = allowed.find(key);
  if (found != allowed.end() && found->second >= bytes) return;
  cudaError_t status = cudaErrorInvalidValue;
  if (bytes <= queue.max_shared_bytes()) {
    const CurrentGpu current(queue.index());
    check(current.status(), "cudaSetDevice");
    status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  }
  if (status == cudaErrorInvalidValue) {  // also from CUDA, which counts the kernel's static memory
    cudaGetLastError();
    throw DeviceError(
        formatted("{}: {} bytes of dynamic shared memory, and the static, are more than the {} bytes that GPU {} has for a block",
                  name, bytes, queue.max_shared_bytes(), queue.index()));
  }
  check(status, name);
  allowed[key] = bytes;
}

}  // namespace gpucnn::gpu
