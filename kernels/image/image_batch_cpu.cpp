#include <algorithm>

#include <gpucnn/core/random.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/image/image_batch.h>
#include <gpucnn/kernels/image/indices.h>
#include <gpucnn/kernels/image/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/image/image_batch_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

// Seen by every pass of foreach_target, defined in the first.
#ifndef GPUCNN_IMAGE_BATCH_CPU
#define GPUCNN_IMAGE_BATCH_CPU
namespace gpucnn::kernels {

/// How one image is transformed into the batch. Rows are of width * channels values.
struct ImageTask {
  std::int64_t height, width, channels;
  const float *mean, *std, *padding;  // one row each: per value, and a row of padding after normalisation
  std::int64_t top, left;             // the output's corner in the image; outside it lie zeros
  bool mirrored;
};

// 1 / 255 in two parts. A byte's product with the first is exact, and the sum of both products is the quotient to the bit. It takes
// half the time of a division.
inline constexpr float k255thHigh = 0x1.01p-8F, k255thLow = 0x1.010102p-24F;

constexpr bool divides_bytes_exactly() {
  for (int byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<float>(byte);
    if (value * k255thHigh + value * k255thLow != value / 255.0F) return false;
  }
  return true;
}
static_assert(divides_bytes_exactly());

}  // namespace gpucnn::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
auto load_unit(D d, const float* from) {
  return hn::LoadU(d, from);
}

template <class D>
auto load_unit(D d, const std::uint8_t* from) {
  const auto bytes = hn::LoadU(hn::Rebind<std::uint8_t, D>(), from);
  const auto value = hn::ConvertTo(d, hn::PromoteTo(hn::Rebind<std::int32_t, D>(), bytes));
  return hn::Add(hn::Mul(value, hn::Set(d, k255thHigh)), hn::Mul(value, hn::Set(d, k255thLow)));
}

HWY_INLINE float unit(float value) { return value; }

HWY_INLINE float unit(std::uint8_t value) { return static_cast<float>(value) / 255.0F; }

template <class T>
HWY_INLINE void normalize(const T* from, const float* mean, const float* std, float* to, std::int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Div(hn::Sub(load_unit(d, from + i), hn::LoadU(d, mean + i)), hn::LoadU(d, std + i)), d, to + i);
  }
  for (; i < count; ++i) to[i] = (unit(from[i]) - mean[i]) / std[i];
}

HWY_INLINE void mirror(float* row, std::int64_t width, std::int64_t channels) {
  for (std::int64_t left = 0, right = width - 1; left < right; ++left, --right) {
    std::swap_ranges(row + left * channels, row + (left + 1) * channels, row + right * channels);
  }
}

template <class T>
HWY_INLINE void transform_image(const ImageTask& task, const T* from, float* to) {
  const std::int64_t C = task.channels, size = task.width * C;
  // The output's columns that the image covers; none, both ends the same, if the crop missed it.
  const std::int64_t begin = std::clamp<std::int64_t>(-task.left, 0, task.width) * C;
  const std::int64_t end = std::max(begin, std::clamp<std::int64_t>(task.width - task.left, 0, task.width) * C);
  for (std::int64_t row = 0; row < task.height; ++row, to += size) {
    const std::int64_t source = row + task.top;
    if (source < 0 || source >= task.height || begin == end) {
      std::copy_n(task.padding, size, to);
      continue;
    }
    std::copy(task.padding, task.padding + begin, to);
    normalize(from + source * size + begin + task.left * C, task.mean + begin, task.std + begin, to + begin, end - begin);
    std::copy(task.padding + end, task.padding + size, to + end);
    if (task.mirrored) mirror(to, task.width, C);
  }
}

void transform_u8(const ImageTask& task, const std::uint8_t* from, float* to) { transform_image(task, from, to); }

void transform_f32(const ImageTask& task, const float* from, float* to) { transform_image(task, from, to); }

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(transform_u8);
HWY_EXPORT(transform_f32);

namespace {

constexpr std::int64_t kGrain = 32 * 1024;  // elements a task

/// The rows mean, std and padding of an ImageTask, one after the other.
Tensor channel_rows(const ImageTransform& transform, std::int64_t width, std::int64_t channels) {
  Tensor rows = Tensor::empty({3, width * channels});
  float* row = rows.data<float>();
  for (std::int64_t i = 0; i < width * channels; ++i) {
    const auto c = static_cast<std::size_t>(i % channels);
    // Without normalisation (x - 0) / 1, which is x to the bit.
    const float mean = transform.mean.empty() ? 0.0F : transform.mean[c];
    const float std = transform.std.empty() ? 1.0F : transform.std[c];
    row[i] = mean;
    row[width * channels + i] = std;
    row[2 * width * channels + i] = (0.0F - mean) / std;
  }
  return rows;
}

/// The task with the crop and flip of the image at this position of the epoch.
ImageTask with_crop_and_flip(ImageTask task, const ImageTransform& transform, std::uint64_t position) {
  if (transform.crop_padding > 0) {
    const RandomStream random(transform.seed, Purpose::crop, 0, transform.epoch);
    const auto padding = static_cast<std::uint32_t>(transform.crop_padding);
    task.top = std::int64_t{random.below(2 * position, 2 * padding + 1)} - padding;
    task.left = std::int64_t{random.below(2 * position + 1, 2 * padding + 1)} - padding;
  }
  if (transform.flip) task.mirrored = RandomStream(transform.seed, Purpose::flip, 0, transform.epoch).word(position) >> 31 != 0;
  return task;
}

void transform_images(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch) {
  if (batch.numel() == 0) return;
  const std::int64_t C = images.dim(1), H = images.dim(2), W = images.dim(3), size = C * H * W;
  const Tensor rows = channel_rows(transform, W, C);
  const float* row = rows.data<float>();
  const ImageTask plain{H, W, C, row, row + W * C, row + 2 * W * C, 0, 0, false};
  float* to = batch.data<float>();
  parallel_ranges(batch.dim(0), std::max<std::int64_t>(1, kGrain / size), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::uint64_t position = static_cast<std::uint64_t>(transform.first) + static_cast<std::uint64_t>(i);
      const ImageTask task = with_crop_and_flip(plain, transform, position);
      const std::int64_t from = indices[static_cast<std::size_t>(i)] * size;
      if (images.dtype() == DType::u8) {
        HWY_DYNAMIC_DISPATCH(transform_u8)(task, images.data<std::uint8_t>() + from, to + i * size);
      } else {
        HWY_DYNAMIC_DISPATCH(transform_f32)(task, images.data<float>() + from, to + i * size);
      }
    }
  });
}

}  // namespace

void cpu::image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices,
                      const ImageTransform& transform, Tensor& batch, Tensor& batch_labels, Stream&) {
  transform_images(images, indices, transform, batch);
  if (!labels.defined()) return;
  const auto* from = labels.data<std::int32_t>();
  std::ranges::transform(indices, batch_labels.data<std::int32_t>(), [&](std::int64_t index) { return from[index]; });
}

void cpu::ordered_batch(const Tensor& images, const Tensor& labels, const Tensor& order, const ImageTransform& transform,
                        Tensor& batch, Tensor& batch_labels, Stream& stream) {
  const std::span<const std::int64_t> all(order.data<std::int64_t>(), static_cast<std::size_t>(order.numel()));
  const auto indices = all.subspan(static_cast<std::size_t>(transform.first), static_cast<std::size_t>(batch.dim(0)));
  check_indices("ordered_batch", indices, images.dim(0));
  cpu::image_batch(images, labels, indices, transform, batch, batch_labels, stream);
}

}  // namespace gpucnn::kernels
#endif
