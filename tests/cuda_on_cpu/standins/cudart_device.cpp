#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "current_gpu.h"
#include "gpu_state.h"

namespace gpucnn::standin {
namespace {

constexpr int kMultiprocessors = 4;    // few, so that kernels meet more work than they have blocks
constexpr int kOldestCapability = 75;  // what CUDA 13 has code for

long long number(const char* name, long long otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

int capability() {
  const char* text = std::getenv("GPUCNN_STANDIN_CAPABILITY");
  const std::string digits = text ? text : "9.0";
  const std::size_t dot = digits.find('.');
  return std::atoi(digits.c_str()) * 10 + (dot == std::string::npos ? 0 : std::atoi(digits.c_str() + dot + 1));
}

std::map<std::pair<int, const void*>, std::size_t>& dynamic_shared() {
  static auto& asked = *new std::map<std::pair<int, const void*>, std::size_t>;
  return asked;
}

thread_local int gpu_of_thread = 0;
thread_local cudaError_t last_error = cudaSuccess;

}  // namespace

const Settings& settings() {
  static const Settings all{
      .driver = static_cast<int>(number("GPUCNN_STANDIN_DRIVER", CUDART_VERSION)),
      .gpus = static_cast<int>(number("GPUCNN_STANDIN_GPUS", 1)),
      .capability = capability(),
      .memory = static_cast<std::size_t>(number("GPUCNN_STANDIN_MEMORY", std::int64_t{1} << 30)),
      .eager = number("GPUCNN_STANDIN_EAGER", 0) != 0,
  };
  return all;
}

std::recursive_mutex& mutex() {
  static std::recursive_mutex& the = *new std::recursive_mutex;  // never destroyed: tensors of static lifetime free late
  return the;
}

gpucnn_standin_calls& calls() {
  static gpucnn_standin_calls all{};
  return all;
}

cudaError_t result(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

cudaError_t availability() {
  if (settings().driver / 1000 < CUDART_VERSION / 1000) return cudaErrorInsufficientDriver;
  return settings().gpus < 1 ? cudaErrorNoDevice : cudaSuccess;
}

int current_gpu() { return gpu_of_thread; }

std::size_t max_shared_bytes() {
  // "Maximum amount of shared memory per thread block" in CUDA's table of compute capabilities.
  switch (settings().capability) {
    case 75: return 64 * 1024;
    case 80:
    case 87: return 163 * 1024;
    case 86:
    case 89:
    case 120:
    case 121: return 99 * 1024;
    default: return emulator::kMaxShared;
  }
}

std::size_t dynamic_shared_asked(int gpu, const void* kernel) {
  const std::scoped_lock lock(mutex());
  const auto found = dynamic_shared().find({gpu, kernel});
  return found == dynamic_shared().end() ? 0 : found->second;
}

void stop(std::string_view sentence) {
  std::fputs(fmt::format("CUDA stand-in: {}\n", sentence).c_str(), stderr);
  std::abort();
}

}  // namespace gpucnn::standin

using namespace gpucnn::standin;  // cudart's functions are in no namespace

int gpucnn_standin_capability(void) { return settings().capability; }

bool gpucnn_standin_create(gpucnn_standin_context* context) {
  *context = {current_gpu(), 0};
  return synchronize(current_gpu());
}

int gpucnn_standin_make_current(int gpu) { return std::exchange(gpu_of_thread, gpu); }

void gpucnn_standin_use(const gpucnn_standin_context* context) {
  if (context->gpu == current_gpu()) return;
  stop(fmt::format("a vendor's context of GPU {} is used while GPU {} is current", context->gpu, current_gpu()));
}

void gpucnn_standin_use_alone(gpucnn_standin_context* context) {
  gpucnn_standin_use(context);
  const std::int64_t uses = ++context->uses;
  std::this_thread::yield();  // time for another thread to come
  if (context->uses != uses) stop("two threads use a vendor's context at once that serves one at a time");
}

gpucnn_standin_calls gpucnn_standin_counts(void) {
  const std::scoped_lock lock(mutex());
  return calls();
}

// ---- errors ----------------------------------------------------------------------------------------------------------

cudaError_t cudaGetLastError() {
  const cudaError_t status = last_error;
  last_error = cudaSuccess;
  return status;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice: return "cudaErrorNoKernelImageForDevice";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation: return "cudaErrorStreamCaptureIsolation";
    case cudaErrorCapturedEvent: return "cudaErrorCapturedEvent";
    default: return "unrecognized error code";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    case cudaErrorNotReady: return "device not ready";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureUnjoined: return "capturing stream has unjoined work";
    case cudaErrorStreamCaptureIsolation: return "dependency created on uncaptured work in another stream";
    case cudaErrorCapturedEvent: return "operation not permitted on an event last recorded in a capturing stream";
    default: return "unrecognized error code";
  }
}

// ---- devices ---------------------------------------------------------------------------------------------------------

cudaError_t cudaDriverGetVersion(int* version) {
  *version = settings().driver;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = availability() == cudaSuccess ? settings().gpus : 0;
  return result(availability());
}

cudaError_t cudaSetDevice(int gpu) {
  if (availability() != cudaSuccess) return result(availability());
  if (gpu < 0 || gpu >= settings().gpus) return result(cudaErrorInvalidDevice);
  gpu_of_thread = gpu;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* gpu) {
  if (availability() != cudaSuccess) return result(availability());
  *gpu = gpu_of_thread;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int gpu) {
  if (availability() != cudaSuccess) return result(availability());
  if (gpu < 0 || gpu >= settings().gpus) return result(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "stand-in for a GPU");
  properties->major = settings().capability / 10;
  properties->minor = settings().capability % 10;
  properties->multiProcessorCount = kMultiprocessors;
  properties->totalGlobalMem = settings().memory;
  properties->uuid.bytes[0] = static_cast<char>(gpu + 1);
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int gpu) {
  if (availability() != cudaSuccess) return result(availability());
  if (gpu < 0 || gpu >= settings().gpus) return result(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = kMultiprocessors; break;
    case cudaDevAttrPageableMemoryAccess: *value = 0; break;
    case cudaDevAttrComputeCapabilityMajor: *value = settings().capability / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = settings().capability % 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(max_shared_bytes()); break;
    default: stop("cudaDeviceGetAttribute: an attribute that it does not know");
  }
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (availability() != cudaSuccess) return result(availability());
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) stop("cudaFuncSetAttribute: an attribute that it does not know");
  if (value < 0 || static_cast<std::size_t>(value) > max_shared_bytes()) return result(cudaErrorInvalidValue);
  const std::scoped_lock lock(mutex());
  dynamic_shared()[{current_gpu(), kernel}] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  if (availability() != cudaSuccess) return result(availability());
  *attributes = {};
  return settings().capability < kOldestCapability ? result(cudaErrorNoKernelImageForDevice) : cudaSuccess;
}
