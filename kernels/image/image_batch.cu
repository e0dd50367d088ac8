#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/random.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/step_position.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/image/mirrored.h>
#include <gpucnn/kernels/image/resized_crop.h>
#include <gpucnn/kernels/image/twins.h>

// Both batches and the normalisation alone are one kernel. A block makes a piece of one image, and the block of its first piece
// copies the label.
namespace gpucnn::kernels::cuda {
namespace {

constexpr std::int64_t kPiece = 4 * kThreads;  // floats
constexpr std::int64_t kMaxChannels = 16;      // whose mean and std are kernel arguments

/// What is the same for all blocks.
struct BatchTask {
  std::int64_t M, C, H, W, N;
  std::int64_t height, width;  // of the batch
  std::int64_t L;              // entries of `indices`
  bool ordered;                // the index of image i is entry first + i instead of i
  bool normalize;
  bool flip, alternating_flip;
  std::uint32_t crop_padding;
  CropRanges crops;  // if it is resized
  BatchPosition position;
  float mean[kMaxChannels], std[kMaxChannels];

  __host__ __device__ std::int64_t stored_size() const { return C * H * W; }
  __host__ __device__ std::int64_t size() const { return C * height * width; }
  __host__ __device__ std::int64_t pieces() const { return size() > kPiece ? (size() + kPiece - 1) / kPiece : 1; }
};

/// Where one image of the batch comes from.
struct Source {
  std::int64_t index;
  std::int64_t top, left;  // the output's corner in the image; zeros surround the image
  bool mirrored;
  CropBox box;  // what is resized, instead
};

__device__ std::int64_t nearest(std::int64_t value, std::int64_t count) {
  return value < 0 ? 0 : value < count ? value : count - 1;
}

/// `indices` may be null: each image is its own. `numbers`, if not null, are what alternating flips go by.
template <bool kResized>
__device__ Source source_of(std::int64_t i, const std::int64_t* indices, const std::int64_t* numbers, const StepState* state,
                            const BatchTask& task) {
  const BatchPosition batch = at_step(task.position, state);
  const std::uint64_t position = image_position(batch, i);
  const std::int64_t index = indices ? indices[nearest(task.ordered ? batch.first + i : i, task.L)] : i;
  Source source{nearest(index, task.M), 0, 0, false, {}};
  if (task.crop_padding > 0) {
    const RandomStream random(batch.seed, Purpose::crop, 0, batch.epoch);
    const std::uint32_t bound = 2 * task.crop_padding + 1;
    source.top = std::int64_t{random.below(2 * position, bound)} - task.crop_padding;
    source.left = std::int64_t{random.below(2 * position + 1, bound)} - task.crop_padding;
  }
  if (task.flip) source.mirrored = is_mirrored(batch.seed, batch.epoch, position);
  if (task.alternating_flip) source.mirrored = is_mirrored_alternating(batch.seed, batch.epoch, numbers ? numbers[i] : index);
  if constexpr (kResized) source.box = crop_box(task.crops, batch, position, task.H, task.W);
  return source;
}

__device__ float unit(float value) { return value; }

__device__ float unit(std::uint8_t value) { return static_cast<float>(value) / 255.0F; }

/// The value at this place of the batch's image, from the stored image.
template <bool kResized, class T>
__device__ float value_at(const T* image, const Source& source, const BatchTask& task, std::int64_t row, std::int64_t column,
                          std::int64_t c) {
  const std::int64_t C = task.C, H = task.H, W = task.W;
  if constexpr (kResized) {
    const ResizePoint y = resize_point(row, task.height, source.box.height), x = resize_point(column, task.width, source.box.width);
    const T* above = image + ((source.box.top + y.first) * W + source.box.left) * C + c;
    const T* below = image + ((source.box.top + y.second) * W + source.box.left) * C + c;
    return between(between(unit(above[x.first * C]), unit(above[x.second * C]), x.share),
                   between(unit(below[x.first * C]), unit(below[x.second * C]), x.share), y.share);
  } else {
    const std::int64_t h = row + source.top, w = column + source.left;
    const bool inside = h >= 0 && h < H && w >= 0 && w < W;
    return inside ? unit(image[(h * W + w) * C + c]) : 0.0F;
  }
}

/// Elements o to o + 3 of the batch's image, from the stored image.
template <bool kResized, class T>
__device__ Lanes<float, 4> transform_four(const T* image, const Source& source, const BatchTask& task, const float* mean,
                                          const float* std, std::int64_t o) {
  const std::int64_t C = task.C, width = task.width;
  std::int64_t pixel = o / C, c = o % C, row = pixel / width, column = pixel % width;
  Lanes<float, 4> values{};
  for (int e = 0; e < 4 && row < task.height; ++e) {
    const float value = value_at<kResized>(image, source, task, row, source.mirrored ? width - 1 - column : column, c);
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
  const std::int64_t size = task.size(), pieces = task.pieces();
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

BatchTask task_of(const Tensor& images, const ImageTransform& transform, const Tensor& batch) {
  BatchTask task{};
  task.M = images.dim(0);
  task.C = images.dim(1);
  task.H = images.dim(2);
  task.W = images.dim(3);
  task.N = batch.dim(0);
  task.height = batch.dim(2);
  task.width = batch.dim(3);
  task.normalize = !transform.mean.empty();
  task.flip = transform.flip;
  task.alternating_flip = transform.alternating_flip;
  task.crop_padding = static_cast<std::uint32_t>(transform.crop_padding);
  if (transform.random_resized_crop) task.crops = crop_ranges(*transform.random_resized_crop);
  task.position = transform.position();
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

/// On the device.
Tensor copy_of(std::span<const std::int64_t> values, Device device) {
  Tensor there = Tensor::empty({static_cast<std::int64_t>(values.size())}, DType::i64, device);
  backend::copy(there.bytes(), device, values.data(), Device::cpu(), values.size_bytes());
  return there;
}

template <class T>
const T* data_if_defined(const Tensor& tensor) {
  return tensor.defined() ? tensor.device_data<T>() : nullptr;
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
      launch(stream, task.ordered ? "ordered_batch" : "image_batch", {task.N * task.pieces(), kThreads},
             batch_kernel<kResized, T, To>, from, data_if_defined<std::int32_t>(tensors.labels),
             data_if_defined<std::int64_t>(tensors.indices), data_if_defined<std::int64_t>(tensors.numbers), state,
             data_if_defined<float>(tensors.channels), task, tensors.batch.device_data<To>(),
             tensors.batch_labels.defined() ? tensors.batch_labels.device_data<std::int32_t>() : nullptr);
    });
  };
  const auto with_dtype = [&](auto kind) {
    if (images.dtype() == DType::u8) return run(kind, images.device_data<std::uint8_t>());
    run(kind, images.device_data<float>());
  };
  if (resized) return with_dtype(std::true_type());
  with_dtype(std::false_type());
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
  BatchTask task = task_of(images, transform, batch);
  task.L = order.dim(0);
  task.ordered = true;
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
