#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/image/batch_source.h>
#include <gpucnn/kernels/image/twins.h>

// Both batches and the normalisation alone are one kernel. A block makes a piece of one image, and the block of its first piece
// copies the label.
namespace gpucnn::kernels::cuda {
namespace {

constexpr std::int64_t kPiece = 4 * kThreads;  // floats

__host__ __device__ std::int64_t pieces_of(const BatchTask& task) {
  return task.size() > kPiece ? (task.size() + kPiece - 1) / kPiece : 1;
}

/// Elements o to o + 3 of the batch's image, from the stored image.
template <bool kResized, class T>
__device__ Lanes<float, 4> transform_four(const T* image, const Source& source, const BatchTask& task, const float* mean,
                                          const float* std, std::int64_t o) {
  const std::int64_t C = task.C, width = task.width;
  std::int64_t pixel = o / C, c = o % C, row = pixel / width, column = pixel % width;
  Lanes<float, 4> values{};
  for (int e = 0; e < 4 && row < task.height; ++e) {
    const float value =
        value_at<kResized, std::int64_t>(image, source, task, row, source.mirrored ? width - 1 - column : column, c);
    values.at[e] = task.normalize ? (value - mean[c]) / std[c] : value;
    if (++c < C) continue;
    c = 0;
    if (++column < width) continue;
    column = 0;
    ++row;
  }
  return values;
}

/// to[0] to to[count - 1] = the first of the values, rounded; `count` > 0 may be larger than 4, and `to` need not be aligned.
__device__ void store_some(const Lanes<float, 4>& values, std::int64_t count, bf16* to) {
  Lanes<bf16, 4> rounded;
  for (int e = 0; e < 4; ++e) rounded.at[e] = to_bf16(values.at[e]);
  if (count >= 4 && are_aligned<4>(to)) return store(rounded, to);
  for (int e = 0; e < 4 && e < count; ++e) to[e] = rounded.at[e];
}

/// `channels`: mean and std of more than kMaxChannels channels, one after the other, or null; `labels` may be null.
template <bool kResized, class T, class To>
__global__ void __launch_bounds__(kThreads, kResized ? 3 : 0)
    batch_kernel(const T* images, const std::int32_t* labels, const std::int64_t* indices, const std::int64_t* numbers,
                 const StepState* state, const float* channels, BatchTask task, To* batch, std::int32_t* batch_labels) {
  GPUCNN_SHARED(Source, source, 1);
  GPUCNN_SHARED(float, means, kMaxChannels);
  GPUCNN_SHARED(float, stds, kMaxChannels);
  if (threadIdx.x < kMaxChannels) {
    means[threadIdx.x] = task.mean[threadIdx.x];
    stds[threadIdx.x] = task.std[threadIdx.x];
  }
  const float* mean = channels ? channels : means;
  const float* std = channels ? channels + task.C : stds;
  const std::int64_t size = task.size(), pieces = pieces_of(task);
  for (std::int64_t piece = blockIdx.x; piece < task.N * pieces; piece += gridDim.x) {
    const std::int64_t i = piece / pieces, o = piece % pieces * kPiece + 4 * threadIdx.x;
    if (threadIdx.x == 0) {
      source[0] = source_of<kResized>(i, indices, numbers, state, task);
      if (labels && o == 0) batch_labels[i] = labels[source[0].index];
    }
    __syncthreads();
    if (o < size) {
      const T* image = images + source[0].index * task.stored_size();
      const auto values = transform_four<kResized>(image, source[0], task, mean, std, o);
      store_some(values, size - o, batch + i * size + o);
    }
    __syncthreads();  // before thread 0 writes the next source
  }
}

/// mean and std on the device if they are too many for kernel arguments; else undefined.
Tensor channel_table(const BatchTask& task, const ImageTransform& transform, Device device) {
  if (!task.normalize || task.C <= kMaxChannels) return {};
  Tensor table = Tensor::empty({2, task.C}, DType::f32, device);
  backend::copy(table.device_data<float>(), device, transform.mean.data(), Device::cpu(), transform.mean.size_bytes());
  backend::copy(table.device_data<float>() + task.C, device, transform.std.data(), Device::cpu(), transform.std.size_bytes());
  return table;
}

/// On the device.
Tensor copy_of(std::span<const std::int64_t> values, Device device) {
  Tensor there = Tensor::empty({static_cast<std::int64_t>(values.size())}, DType::i64, device);
  backend::copy(there.bytes(), device, values.data(), Device::cpu(), values.size_bytes());
  return there;
}

/// Tensors of the device; all but `batch` may be undefined.
struct BatchTensors {
  Tensor labels, indices, numbers, channels;
  Tensor &batch, &batch_labels;
};

void launch_batch(const Tensor& images, BatchTensors& tensors, const StepState* state, const BatchTask& task, bool resized,
                  Stream& stream) {
  const auto run = [&]<bool kResized, class T>(std::bool_constant<kResized>, const T* from) {
    for_activation(tensors.batch.dtype(), [&]<class To>(To) {
      launch(stream, task.ordered ? "ordered_batch" : "image_batch", {task.N * pieces_of(task), kThreads},
             batch_kernel<kResized, T, To>, from, data_if_defined<std::int32_t>(tensors.labels),
             data_if_defined<std::int64_t>(tensors.indices), data_if_defined<std::int64_t>(tensors.numbers), state,
             data_if_defined<float>(tensors.channels), task, tensors.batch.device_data<To>(),
             tensors.batch_labels.defined() ? tensors.batch_labels.device_data<std::int32_t>() : nullptr);
    });
  };
  for_stored(images, [&](const auto* from) { resized ? run(std::true_type(), from) : run(std::false_type(), from); });
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices,
                       const ImageTransform& transform, Tensor& batch, Tensor& batch_labels, Stream& stream) {
  const Device device = stream.device();
  BatchTask task = task_of(images, transform, batch);
  task.L = task.N;
  const bool numbered = transform.alternating_flip && !transform.numbers.empty();
  BatchTensors tensors{labels,
                       copy_of(indices, device),
                       numbered ? copy_of(transform.numbers, device) : Tensor(),
                       channel_table(task, transform, device),
                       batch,
                       batch_labels};
  launch_batch(images, tensors, nullptr, task, transform.random_resized_crop.has_value(), stream);
}

void cuda::ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform,
                         Tensor& batch, Tensor& batch_labels, Stream& stream) {
  const Device device = stream.device();
  const StepState* state = gpu::queue(device).step_state();
  const BatchTask task = ordered_task(images, order, transform, batch);
  if (state && task.normalize && task.C > kMaxChannels) {
    throw std::invalid_argument("ordered_batch: a captured step cannot normalise images of more than 16 channels");
  }
  BatchTensors tensors{labels, order, {}, channel_table(task, transform, device), batch, batch_labels};
  launch_batch(images, tensors, state, task, transform.random_resized_crop.has_value(), stream);
}

void cuda::normalize_images(const Tensor& images, std::span<const float> mean, std::span<const float> std, Tensor& batch,
                            Stream& stream) {
  const ImageTransform transform{.mean = mean, .std = std};
  const BatchTask task = task_of(images, transform, batch);
  Tensor none;
  BatchTensors tensors{{}, {}, {}, channel_table(task, transform, stream.device()), batch, none};
  launch_batch(images, tensors, nullptr, task, false, stream);
}

}  // namespace gpucnn::kernels
