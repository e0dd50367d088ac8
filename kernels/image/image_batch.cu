#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/random.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/image/twins.h>

// Both batches are one kernel. A block makes a piece of one image, and the block of its first piece copies the label.
namespace gpucnn::kernels::cuda {
namespace {

constexpr std::int64_t kPiece = 4 * kThreads;  // floats
constexpr std::int64_t kMaxChannels = 16;      // whose mean and std are kernel arguments

/// What is the same for all blocks.
struct BatchTask {
  std::int64_t M, C, H, W, N;
  std::int64_t L;  // entries of `indices`
  bool ordered;    // the index of image i is entry first + i instead of i
  bool normalize;
  bool flip;
  std::uint32_t crop_padding;
  std::uint64_t seed, epoch;
  std::int64_t first;
  float mean[kMaxChannels], std[kMaxChannels];

  __host__ __device__ std::int64_t size() const { return C * H * W; }
  __host__ __device__ std::int64_t pieces() const { return size() > kPiece ? (size() + kPiece - 1) / kPiece : 1; }
};

/// Where one image of the batch comes from.
struct Source {
  std::int64_t index;
  std::int64_t top, left;  // the output's corner in the image; zeros surround the image
  bool mirrored;
};

__device__ std::int64_t nearest(std::int64_t value, std::int64_t count) {
  return value < 0 ? 0 : value < count ? value : count - 1;
}

__device__ Source source_of(std::int64_t i, const std::int64_t* indices, const StepState* state, const BatchTask& task) {
  const std::int64_t first = state ? state->first : task.first;
  const std::uint64_t epoch = state ? state->epoch : task.epoch;
  const auto position = static_cast<std::uint64_t>(first) + static_cast<std::uint64_t>(i);
  Source source{nearest(indices[nearest(task.ordered ? first + i : i, task.L)], task.M), 0, 0, false};
  if (task.crop_padding > 0) {
    const RandomStream random(task.seed, Purpose::crop, 0, epoch);
    const std::uint32_t bound = 2 * task.crop_padding + 1;
    source.top = std::int64_t{random.below(2 * position, bound)} - task.crop_padding;
    source.left = std::int64_t{random.below(2 * position + 1, bound)} - task.crop_padding;
  }
  if (task.flip) source.mirrored = RandomStream(task.seed, Purpose::flip, 0, epoch).word(position) >> 31 != 0;
  return source;
}

__device__ float unit(float value) { return value; }

__device__ float unit(std::uint8_t value) { return static_cast<float>(value) / 255.0F; }

/// Elements o to o + 3 of the batch's image, from the stored image.
template <class T>
__device__ Lanes<float, 4> transform_four(const T* image, const Source& source, const BatchTask& task, const float* mean,
                                          const float* std, std::int64_t o) {
  const std::int64_t C = task.C, H = task.H, W = task.W;
  std::int64_t pixel = o / C, c = o % C, row = pixel / W, column = pixel % W;
  Lanes<float, 4> values;
  for (int e = 0; e < 4; ++e) {
    const std::int64_t h = row + source.top, w = (source.mirrored ? W - 1 - column : column) + source.left;
    const bool inside = h >= 0 && h < H && w >= 0 && w < W;
    const float value = inside ? unit(image[(h * W + w) * C + c]) : 0.0F;
    values.at[e] = task.normalize ? (value - mean[c]) / std[c] : value;
    if (++c < C) continue;
    c = 0;
    if (++column < W) continue;
    column = 0;
    ++row;
  }
  return values;
}

/// `channels`: mean and std of more than kMaxChannels channels, one after the other, or null; `labels` may be null.
template <class T>
__global__ void batch_kernel(const T* images, const std::int32_t* labels, const std::int64_t* indices, const StepState* state,
                             const float* channels, BatchTask task, float* batch, std::int32_t* batch_labels) {
  GPUCNN_SHARED(Source, source, 1);
  GPUCNN_SHARED(float, means, kMaxChannels);
  GPUCNN_SHARED(float, stds, kMaxChannels);
  if (threadIdx.x < kMaxChannels) {
    means[threadIdx.x] = task.mean[threadIdx.x];
    stds[threadIdx.x] = task.std[threadIdx.x];
  }
  const float* mean = channels ? channels : means;
  const float* std = channels ? channels + task.C : stds;
  const std::int64_t size = task.size(), pieces = task.pieces();
  for (std::int64_t piece = blockIdx.x; piece < task.N * pieces; piece += gridDim.x) {
    const std::int64_t i = piece / pieces, o = piece % pieces * kPiece + 4 * threadIdx.x;
    if (threadIdx.x == 0) {
      source[0] = source_of(i, indices, state, task);
      if (labels && o == 0) batch_labels[i] = labels[source[0].index];
    }
    __syncthreads();
    if (o < size) {
      const auto values = transform_four(images + source[0].index * size, source[0], task, mean, std, o);
      store_some(values, size - o, batch + i * size + o);
    }
    __syncthreads();  // before thread 0 writes the next source
  }
}

BatchTask task_of(const Tensor& images, const ImageTransform& transform, std::int64_t N) {
  BatchTask task{};
  task.M = images.dim(0);
  task.C = images.dim(1);
  task.H = images.dim(2);
  task.W = images.dim(3);
  task.N = N;
  task.normalize = !transform.mean.empty();
  task.flip = transform.flip;
  task.crop_padding = static_cast<std::uint32_t>(transform.crop_padding);
  task.seed = transform.seed;
  task.epoch = transform.epoch;
  task.first = transform.first;
  if (task.normalize && task.C <= kMaxChannels) {
    std::ranges::copy(transform.mean, task.mean);
    std::ranges::copy(transform.std, task.std);
  }
  return task;
}

/// mean and std on the device if they are too many for kernel arguments; else undefined.
Tensor channel_table(const BatchTask& task, const ImageTransform& transform, Device device) {
  if (!task.normalize || task.C <= kMaxChannels) return {};
  Tensor table = Tensor::empty({2, task.C}, DType::f32, device);
  backend::copy(table.device_data<float>(), device, transform.mean.data(), Device::cpu(), transform.mean.size_bytes());
  backend::copy(table.device_data<float>() + task.C, device, transform.std.data(), Device::cpu(), transform.std.size_bytes());
  return table;
}

/// `labels` and `batch_labels` may be undefined.
void launch_batch(const Tensor& images, const Tensor& labels, const Tensor& indices, const StepState* state, const Tensor& channels,
                  const BatchTask& task, Tensor& batch, Tensor& batch_labels, Stream& stream) {
  const auto run = [&]<class T>(const T* from) {
    launch(stream, task.ordered ? "ordered_batch" : "image_batch", {task.N * task.pieces(), kThreads}, batch_kernel<T>, from,
           labels.defined() ? labels.device_data<std::int32_t>() : nullptr, indices.device_data<std::int64_t>(), state,
           channels.defined() ? channels.device_data<float>() : nullptr, task, batch.device_data<float>(),
           batch_labels.defined() ? batch_labels.device_data<std::int32_t>() : nullptr);
  };
  if (images.dtype() == DType::u8) return run(images.device_data<std::uint8_t>());
  run(images.device_data<float>());
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices,
                       const ImageTransform& transform, Tensor& batch, Tensor& batch_labels, Stream& stream) {
  const Device device = stream.device();
  BatchTask task = task_of(images, transform, batch.dim(0));
  task.L = task.N;
  Tensor there = Tensor::empty({task.N}, DType::i64, device);
  backend::copy(there.bytes(), device, indices.data(), Device::cpu(), indices.size_bytes());
  launch_batch(images, labels, there, nullptr, channel_table(task, transform, device), task, batch, batch_labels, stream);
}

void cuda::ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform,
                         Tensor& batch, Tensor& batch_labels, Stream& stream) {
  const Device device = stream.device();
  const StepState* state = gpu::queue(device).step_state();
  BatchTask task = task_of(images, transform, batch.dim(0));
  task.L = order.dim(0);
  task.ordered = true;
  if (state && task.normalize && task.C > kMaxChannels) {
    throw std::invalid_argument("ordered_batch: a captured step cannot normalise images of more than 16 channels");
  }
  launch_batch(images, labels, order, state, channel_table(task, transform, device), task, batch, batch_labels, stream);
}

}  // namespace gpucnn::kernels
