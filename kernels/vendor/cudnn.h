#pragma once

#include <cudnn_graph.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <gpucnn/core/device.h>
#include <gpucnn/core/gpu/queue.h>

/// cuDNN 9 by its backend graph API: the functions, found at run time, and their descriptors as values.
namespace gpucnn::kernels::cudnn {

/// The functions that are called, all of cudnn_graph.h.
struct Functions {
  decltype(::cudnnGetErrorString)* error_string;
  decltype(::cudnnGetLastErrorString)* last_error_string;
  decltype(::cudnnCreate)* create;
  decltype(::cudnnSetStream)* set_stream;
  decltype(::cudnnBackendCreateDescriptor)* create_descriptor;
  decltype(::cudnnBackendDestroyDescriptor)* destroy_descriptor;
  decltype(::cudnnBackendSetAttribute)* set_attribute;
  decltype(::cudnnBackendGetAttribute)* get_attribute;
  decltype(::cudnnBackendFinalize)* finalize;
  decltype(::cudnnBackendExecute)* execute;
};

/// Opens the library when first called. Throws `DeviceError` if there is none or it is too old.
const Functions& functions();

/// Throws `DeviceError` that names the call unless it succeeded.
void check(cudnnStatus_t status, const char* call);

constexpr cudnnBackendAttributeType_t attribute_type(bool) { return CUDNN_TYPE_BOOLEAN; }
constexpr cudnnBackendAttributeType_t attribute_type(char) { return CUDNN_TYPE_CHAR; }
constexpr cudnnBackendAttributeType_t attribute_type(std::int64_t) { return CUDNN_TYPE_INT64; }
constexpr cudnnBackendAttributeType_t attribute_type(float) { return CUDNN_TYPE_FLOAT; }
constexpr cudnnBackendAttributeType_t attribute_type(void*) { return CUDNN_TYPE_VOID_PTR; }
constexpr cudnnBackendAttributeType_t attribute_type(cudnnHandle_t) { return CUDNN_TYPE_HANDLE; }
constexpr cudnnBackendAttributeType_t attribute_type(cudnnDataType_t) { return CUDNN_TYPE_DATA_TYPE; }
constexpr cudnnBackendAttributeType_t attribute_type(cudnnConvolutionMode_t) { return CUDNN_TYPE_CONVOLUTION_MODE; }
constexpr cudnnBackendAttributeType_t attribute_type(cudnnPointwiseMode_t) { return CUDNN_TYPE_POINTWISE_MODE; }
constexpr cudnnBackendAttributeType_t attribute_type(cudnnBackendHeurMode_t) { return CUDNN_TYPE_HEUR_MODE; }
constexpr cudnnBackendAttributeType_t attribute_type(cudnnBackendNumericalNote_t) { return CUDNN_TYPE_NUMERICAL_NOTE; }

/// One backend descriptor: attributes are set, then it is finalised and only read.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);

  template <class T>
  void set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    set_raw(name, attribute_type(T{}), static_cast<std::int64_t>(values.size()), values.data());
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, const T& value) {
    set(name, std::span<const T>(&value, 1));
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& other) { set(name, std::span(&other, 1)); }
  void set(cudnnBackendAttributeName_t name, std::span<const Descriptor> others);

  void finalize() { check(try_finalize(), "cudnnBackendFinalize"); }
  /// For what may be refused: `CUDNN_STATUS_SUCCESS` or why not.
  cudnnStatus_t try_finalize() { return functions().finalize(handle_.get()); }

  /// The values of an attribute; at most `max_count` of them.
  template <class T>
  std::vector<T> get(cudnnBackendAttributeName_t name, std::int64_t max_count) const {
    std::vector<T> values(static_cast<std::size_t>(max_count));
    values.resize(static_cast<std::size_t>(get_raw(name, attribute_type(T{}), max_count, values.data())));
    return values;
  }
  /// The descriptors that an attribute holds, which are of the given type; at most `max_count` of them.
  std::vector<Descriptor> get(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type, std::int64_t max_count) const;
  /// How many values an attribute has.
  std::int64_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
    return get_raw(name, type, 0, nullptr);
  }

  cudnnBackendDescriptor_t get() const noexcept { return handle_.get(); }

 private:
  void set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values);
  std::int64_t get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t max_count,
                       void* values) const;

  struct Destroy {
    void operator()(cudnnBackendDescriptor_t descriptor) const noexcept { functions().destroy_descriptor(descriptor); }
  };
  std::unique_ptr<void, Destroy> handle_;
};

/// cuDNN's context for a GPU, made when first asked for and kept for good. cuDNN allows it to one thread at a time, also where
/// plans are only made. So this is the only way to it: a Handle has it locked, with its GPU current and the queue's stream set, as
/// long as it lives. There is one for each GPU and not for each stream: making one waits for the whole GPU, which no capture
/// survives.
class Handle {
 public:
  explicit Handle(Device device);
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  cudnnHandle_t get() const noexcept { return handle_; }

 private:
  gpu::StreamInUse stream_;
  std::unique_lock<std::mutex> lock_;
  cudnnHandle_t handle_ = nullptr;
};

/// Queues a finalised execution plan with its variant pack. A capture keeps the plan.
void execute(Device device, const std::shared_ptr<const Descriptor>& plan, const Descriptor& variant_pack);

}  // namespace gpucnn::kernels::cudnn
