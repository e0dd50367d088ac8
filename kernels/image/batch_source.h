#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/core/random.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/step_position.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/image/image_transform.h>
#include <gpucnn/kernels/image/mirrored.h>
#include <gpucnn/kernels/image/resized_crop.h>

/// How an image of a batch comes from the stored images, for the kernels that gather. In .cu files only.
namespace gpucnn::kernels::cuda {

inline constexpr std::int64_t kMaxChannels = 16;  // whose mean and std are kernel arguments

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
};

inline BatchTask task_of(const Tensor& images, const ImageTransform& transform, const Tensor& batch) {
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

/// The same for the images that an order names.
inline BatchTask ordered_task(const Tensor& images, const Tensor& order, const ImageTransform& transform, const Tensor& batch) {
  BatchTask task = task_of(images, transform, batch);
  task.L = order.dim(0);
  task.ordered = true;
  return task;
}

/// Null for an undefined tensor.
template <class T>
T* data_if_defined(Tensor tensor) {
  return tensor.defined() ? tensor.device_data<T>() : nullptr;
}

/// Calls `body` with the address of the stored images, of u8 or of floats.
template <class Body>
void for_stored(const Tensor& images, const Body& body) {
  if (images.dtype() == DType::u8) return body(images.device_data<std::uint8_t>());
  body(images.device_data<float>());
}

/// Where one image of the batch comes from.
struct Source {
  std::int64_t index;
  std::int64_t top, left;  // the output's corner in the image; zeros surround the image
  bool mirrored;
  CropBox box;  // what is resized, instead
};

__device__ inline std::int64_t nearest(std::int64_t value, std::int64_t count) {
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

__device__ inline float unit(float value) { return value; }

/// value / 255, rounded as a division: 1 / 255 in two floats gives the same bits for every value, in two instructions.
__device__ inline float unit(std::uint8_t value) {
  constexpr float kHigh = 1.0F / 255, kLow = static_cast<float>(1.0 / 255 - kHigh);
  const auto whole = static_cast<float>(value);
  return fmaf(whole, kHigh, whole * kLow);
}

/// The value at this place of the batch's image, before it is normalised, from the stored image. Index: an integer that counts an
/// image's elements, and rows and columns with their crop's.
template <bool kResized, class Index, class T>
__device__ float value_at(const T* image, const Source& source, const BatchTask& task, Index row, Index column, Index c) {
  const Index C = static_cast<Index>(task.C), H = static_cast<Index>(task.H), W = static_cast<Index>(task.W);
  if constexpr (kResized) {
    const ResizePoint y = resize_point(row, task.height, source.box.height), x = resize_point(column, task.width, source.box.width);
    const T* above = image + ((source.box.top + y.first) * W + source.box.left) * C + c;
    const T* below = image + ((source.box.top + y.second) * W + source.box.left) * C + c;
    return between(between(unit(above[x.first * C]), unit(above[x.second * C]), x.share),
                   between(unit(below[x.first * C]), unit(below[x.second * C]), x.share), y.share);
  } else {
    const Index h = row + static_cast<Index>(source.top), w = column + static_cast<Index>(source.left);
    const bool inside = h >= 0 && h < H && w >= 0 && w < W;
    return inside ? unit(image[(h * W + w) * C + c]) : 0.0F;
  }
}

}  // namespace gpucnn::kernels::cuda
