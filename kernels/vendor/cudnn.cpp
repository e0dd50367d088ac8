#include <gpucnn/kernels/vendor/cudnn.h>

#include <array>
#include <map>
#include <mutex>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/gpu/shared_library.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn::kernels::cudnn {
namespace {

/// A context may be used by one thread at a time.
struct Context {
  cudnnHandle_t handle = nullptr;
  std::mutex mutex;
};

/// The context of a GPU, which is current.
Context& context(Device device) {
  static std::mutex& mutex = *new std::mutex;
  static auto& contexts = *new std::map<int, Context>;  // never destroyed: plans of static lifetime may run late
  {
    const std::scoped_lock lock(mutex);
    if (const auto made = contexts.find(device.index); made != contexts.end() && made->second.handle) return made->second;
  }
  const auto no_capture = gpu::queue(device).between_captures();
  const std::scoped_lock lock(mutex);
  Context& made = contexts[device.index];
  if (!made.handle) check(functions().create(&made.handle), "cudnnCreate");
  return made;
}

}  // namespace

const Functions& functions() {
  static const Functions table = [] {
    const gpu::SharedLibrary& library = gpu::cudnn_library();
    Functions found{};
    library.load("cudnnGetErrorString", found.error_string);
    library.load("cudnnGetLastErrorString", found.last_error_string);
    library.load("cudnnCreate", found.create);
    library.load("cudnnSetStream", found.set_stream);
    library.load("cudnnBackendCreateDescriptor", found.create_descriptor);
    library.load("cudnnBackendDestroyDescriptor", found.destroy_descriptor);
    library.load("cudnnBackendSetAttribute", found.set_attribute);
    library.load("cudnnBackendGetAttribute", found.get_attribute);
    library.load("cudnnBackendFinalize", found.finalize);
    library.load("cudnnBackendExecute", found.execute);
    return found;
  }();
  return table;
}

void check(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> last{};
  functions().last_error_string(last.data(), last.size());
  throw DeviceError(
      formatted("{} failed: {}{}{}", call, functions().error_string(status), last[0] ? ": " : "", std::string_view(last.data())));
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t made = nullptr;
  check(functions().create_descriptor(type, &made), "cudnnBackendCreateDescriptor");
  handle_.reset(made);
}

void Descriptor::set(cudnnBackendAttributeName_t name, std::span<const Descriptor> others) {
  std::vector<cudnnBackendDescriptor_t> handles;
  for (const Descriptor& other : others) handles.push_back(other.get());
  set_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(handles.size()), handles.data());
}

std::vector<Descriptor> Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                                        std::int64_t max_count) const {
  // cuDNN fills in descriptors that the caller made.
  std::vector<Descriptor> made;
  std::vector<cudnnBackendDescriptor_t> handles;
  for (std::int64_t i = 0; i < max_count; ++i) handles.push_back(made.emplace_back(type).get());
  made.erase(made.begin() + get_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, max_count, handles.data()), made.end());
  return made;
}

void Descriptor::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                         const void* values) {
  check(functions().set_attribute(handle_.get(), name, type, count, values), "cudnnBackendSetAttribute");
}

std::int64_t Descriptor::get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t max_count,
                                 void* values) const {
  std::int64_t count = 0;
  check(functions().get_attribute(handle_.get(), name, type, max_count, &count, values), "cudnnBackendGetAttribute");
  return max_count ? std::min(count, max_count) : count;
}

Handle::Handle(Device device) : stream_(gpu::queue(device).stream()) {
  Context& used = context(device);
  lock_ = std::unique_lock(used.mutex);
  handle_ = used.handle;
  // The queue's stream is another while a step is captured.
  check(functions().set_stream(handle_, stream_), "cudnnSetStream");
}

void execute(Device device, const std::shared_ptr<const Descriptor>& plan, const Descriptor& variant_pack) {
  const Handle handle(device);
  check(functions().execute(handle.get(), plan->get(), variant_pack.get()), "cudnnBackendExecute");
  gpu::queue(device).keep_with_capture(plan);
}

}  // namespace gpucnn::kernels::cudnn
