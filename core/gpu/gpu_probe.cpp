#include <gpucnn/core/gpu/gpu_probe.h>

#include <cuda_runtime_api.h>
#include <cudnn_graph.h>

#include <map>
#include <mutex>

#include <cublasLt.h>

#include <gpucnn/core/config.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/probe_kernel.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/gpu/shared_library.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn::gpu {
namespace {

std::string version_text(int version) { return formatted("{}.{}", version / 1000, version % 1000 / 10); }

std::string failure_text(cudaError_t status) { return formatted("{} ({})", cudaGetErrorString(status), cudaGetErrorName(status)); }

/// Throws `DeviceError` if the library cannot work on the current GPU: one that opens may still lack a part of itself.
template <class Handle, class Status>
void try_handle(const SharedLibrary& library, const char* title, Status (*create)(Handle*), Status (*destroy)(Handle)) {
  Handle handle{};
  const Status status = create(&handle);
  if (static_cast<int>(status) != 0) {
    throw DeviceError(formatted("{} ({}) does not start: status {}", title, library.path(), static_cast<int>(status)));
  }
  destroy(handle);
}

void start_cudnn(const SharedLibrary& library) {
  decltype(&cudnnCreate) create = nullptr;
  decltype(&cudnnDestroy) destroy = nullptr;
  library.load("cudnnCreate", create);
  library.load("cudnnDestroy", destroy);
  try_handle(library, "cuDNN", create, destroy);
}

void start_cublaslt(const SharedLibrary& library) {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  library.load("cublasLtCreate", create);
  library.load("cublasLtDestroy", destroy);
  try_handle(library, "cuBLASLt", create, destroy);
}

struct Finding {
  bool usable;
  std::string text;
};

Finding look(int index) {
  int driver = 0, gpus = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0) return {false, "there is no NVIDIA driver"};
  if (driver / 1000 < CUDART_VERSION / 1000) {
    return {false, formatted("the NVIDIA driver is for CUDA {}, and libgpucnn was built with CUDA {}: update the driver",
                             version_text(driver), version_text(CUDART_VERSION))};
  }
  if (const cudaError_t status = cudaGetDeviceCount(&gpus); status != cudaSuccess) {
    cudaGetLastError();
    if (status == cudaErrorNoDevice) return {false, "the NVIDIA driver sees no GPU"};
    return {false, formatted("the NVIDIA driver gives no GPU: {}", failure_text(status))};
  }
  if (index >= gpus) {
    return {false, gpus == 0 ? "the NVIDIA driver sees no GPU"
                             : formatted("there {} only {} GPU{}", gpus == 1 ? "is" : "are", gpus, gpus == 1 ? "" : "s")};
  }
  cudaDeviceProp gpu{};
  cudaFuncAttributes code{};
  const CurrentGpu current(index);
  cudaError_t status = cudaGetDeviceProperties(&gpu, index);
  if (status == cudaSuccess) status = current.status();
  if (status == cudaSuccess) status = cudaFuncGetAttributes(&code, probe_kernel_address());
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction ||
      status == cudaErrorUnsupportedPtxVersion) {
    cudaGetLastError();
    return {false, formatted("{} has compute capability {}.{}, and this build of libgpucnn has code for {}", gpu.name, gpu.major,
                             gpu.minor, kCudaArchitectures)};
  }
  if (status != cudaSuccess) {
    cudaGetLastError();
    return {false, formatted("GPU {} does not answer: {}", index, failure_text(status))};
  }
  try {
    start_cudnn(cudnn_library());
    start_cublaslt(cublaslt_library());
  } catch (const DeviceError& error) {
    return {false, error.what()};
  }
  return {true, formatted("{}, compute capability {}.{}", gpu.name, gpu.major, gpu.minor)};
}

}  // namespace

bool probe(int index, std::string* reason) {
  static std::mutex& mutex = *new std::mutex;
  static std::map<int, Finding>& findings = *new std::map<int, Finding>;
  const std::scoped_lock lock(mutex);
  auto found = findings.find(index);
  if (found == findings.end()) found = findings.emplace(index, look(index)).first;
  if (reason) *reason = found->second.text;
  return found->second.usable;
}

}  // namespace gpucnn::gpu
