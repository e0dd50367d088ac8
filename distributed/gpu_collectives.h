#pragma once

#include <span>

#include <gpucnn/core/tensor.h>
#include <gpucnn/distributed/communicator.h>
#include <gpucnn/distributed/distributed.h>

namespace gpucnn {

/// Collectives on tensors of this rank's GPU, which NCCL makes. Nothing waits for the GPU: a request's `wait` lets what is queued
/// later wait there. In builds with CUDA.
Communicator::RequestPtr begin_gpu_all_reduce(const Distributed& distributed, Tensor& values, Communicator::Number number,
                                              Reduce reduction);
/// The sum of doubles in memory of `device`, this rank's GPU. What is queued next waits for it.
void gpu_all_reduce(const Distributed& distributed, std::span<double> values, Device device);
Communicator::RequestPtr begin_gpu_broadcast(const Distributed& distributed, Tensor& values, int root);

/// See Distributed::gpu.
Device own_gpu(const Distributed& distributed);

}  // namespace gpucnn
