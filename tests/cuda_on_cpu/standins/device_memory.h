#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/stream.h>

namespace gpucnn {

/// `count` elements of the stand-in's device memory, exactly. Copies through the queue of GPU 0 and waits.
template <class T>
class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t count) : count_(count) {
    void* memory = nullptr;
    gpu::check(cudaMalloc(&memory, count * sizeof(T)), "cudaMalloc");
    data_ = static_cast<T*>(memory);
  }
  explicit DeviceMemory(const std::vector<T>& values) : DeviceMemory(values.size()) {
    gpu::check(cudaMemcpyAsync(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice, queue().stream()),
               "cudaMemcpyAsync");
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { cudaFree(data_); }

  T* data() const { return data_; }

  std::vector<T> values() const {
    std::vector<T> all(count_);
    gpu::check(cudaMemcpyAsync(all.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost, queue().stream()), "cudaMemcpyAsync");
    queue().synchronize();
    return all;
  }

 private:
  static gpu::Queue& queue() { return gpu::queue(Device::cuda()); }

  std::size_t count_;
  T* data_;
};

}  // namespace gpucnn
