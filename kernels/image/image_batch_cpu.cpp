#include <algorithm>
#include <array>
#include <optional>

#include <gpucnn/core/random.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/image/image_batch.h>
#include <gpucnn/kernels/image/indices.h>
#include <gpucnn/kernels/image/mirrored.h>
#include <gpucnn/kernels/image/resized_crop.h>
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
Tensor channel_rows(std::span<const float> means, std::span<const float> stds, std::int64_t width, std::int64_t channels) {
  Tensor rows = Tensor::empty({3, width * channels});
  float* row = rows.data<float>();
  for (std::int64_t i = 0; i < width * channels; ++i) {
    const auto c = static_cast<std::size_t>(i % channels);
    // Without normalisation (x - 0) / 1, which is x to the bit.
    const float mean = means.empty() ? 0.0F : means[c];
    const float std = stds.empty() ? 1.0F : stds[c];
    row[i] = mean;
    row[width * channels + i] = std;
    row[2 * width * channels + i] = (0.0F - mean) / std;
  }
  return rows;
}

/// The task of an image as it is. `rows`: of channel_rows.
ImageTask plain_task(const Tensor& rows, std::int64_t height, std::int64_t width, std::int64_t channels) {
  const float* row = rows.data<float>();
  return {height, width, channels, row, row + width * channels, row + 2 * width * channels, 0, 0, false};
}

/// Whether the image with this number, at this position of the epoch, is mirrored.
bool mirrors(const ImageTransform& transform, std::uint64_t position, std::int64_t number) {
  if (transform.alternating_flip) return is_mirrored_alternating(transform.seed, transform.epoch, number);
  return transform.flip && is_mirrored(transform.seed, transform.epoch, position);
}

/// The task with the crop of the image at this position of the epoch.
ImageTask with_crop(ImageTask task, const ImageTransform& transform, std::uint64_t position) {
  if (transform.crop_padding > 0) {
    const RandomStream random(transform.seed, Purpose::crop, 0, transform.epoch);
    const auto padding = static_cast<std::uint32_t>(transform.crop_padding);
    task.top = std::int64_t{random.below(2 * position, 2 * padding + 1)} - padding;
    task.left = std::int64_t{random.below(2 * position + 1, 2 * padding + 1)} - padding;
  }
  return task;
}

/// 1 / 255 of every byte.
constexpr std::array<float, 256> make_units() {
  std::array<float, 256> units{};
  for (std::size_t byte = 0; byte < units.size(); ++byte) units[byte] = static_cast<float>(byte) / 255.0F;
  return units;
}
constexpr std::array<float, 256> kUnits = make_units();

float unit(std::uint8_t value) { return kUnits[value]; }
float unit(float value) { return value; }

/// A part of an image of W columns, resized to `height` by `width`, in [0, 1]. Some columns at a time, so that where they come from
/// is computed once for all rows.
template <class T>
void resize_image(const T* from, std::int64_t W, std::int64_t C, const CropBox& box, std::int64_t height, std::int64_t width,
                  bool mirrored, float* to) {
  constexpr std::int64_t kColumns = 64;
  std::array<ResizePoint, kColumns> points;
  for (std::int64_t begin = 0; begin < width; begin += kColumns) {
    const std::int64_t columns = std::min(kColumns, width - begin);
    for (std::int64_t j = 0; j < columns; ++j) points[static_cast<std::size_t>(j)] = resize_point(begin + j, width, box.width);
    for (std::int64_t i = 0; i < height; ++i) {
      const ResizePoint row = resize_point(i, height, box.height);
      const T* above = from + ((box.top + row.first) * W + box.left) * C;
      const T* below = from + ((box.top + row.second) * W + box.left) * C;
      for (std::int64_t j = 0; j < columns; ++j) {
        const ResizePoint& column = points[static_cast<std::size_t>(j)];
        float* pixel = to + (i * width + (mirrored ? width - 1 - begin - j : begin + j)) * C;
        for (std::int64_t c = 0; c < C; ++c) {
          const std::int64_t a = column.first * C + c, b = column.second * C + c;
          pixel[c] = between(between(unit(above[a]), unit(above[b]), column.share),
                             between(unit(below[a]), unit(below[b]), column.share), row.share);
        }
      }
    }
  }
}

void transform_u8_or_f32(const ImageTask& task, const std::uint8_t* from, float* to) {
  HWY_DYNAMIC_DISPATCH(transform_u8)(task, from, to);
}

void transform_u8_or_f32(const ImageTask& task, const float* from, float* to) {
  HWY_DYNAMIC_DISPATCH(transform_f32)(task, from, to);
}

template <class T>
void transform_images(const Tensor& images, std::span<const std::int64_t> indices, const ImageTransform& transform, Tensor& batch) {
  const std::int64_t C = images.dim(1), H = images.dim(2), W = images.dim(3), size = C * H * W;
  const std::int64_t height = batch.dim(2), width = batch.dim(3), size_there = C * height * width;
  const Tensor rows = channel_rows(transform.mean, transform.std, width, C);
  const ImageTask plain = plain_task(rows, height, width, C);
  const std::span<const std::int64_t> numbers = transform.numbers.empty() ? indices : transform.numbers;
  const bool resized = transform.random_resized_crop.has_value();
  const CropRanges ranges = resized ? crop_ranges(*transform.random_resized_crop) : CropRanges{};
  const T* all = images.data<T>();
  float* to = batch.data<float>();
  parallel_ranges(batch.dim(0), std::max<std::int64_t>(1, kGrain / size_there), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::uint64_t position = image_position(transform.position(), i);
      const bool mirrored = mirrors(transform, position, numbers[static_cast<std::size_t>(i)]);
      const T* from = all + indices[static_cast<std::size_t>(i)] * size;
      float* image = to + i * size_there;
      if (resized) {
        resize_image(from, W, C, crop_box(ranges, transform.position(), position, H, W), height, width, mirrored, image);
        if (!transform.mean.empty()) transform_u8_or_f32(plain, image, image);
      } else {
        ImageTask task = with_crop(plain, transform, position);
        task.mirrored = mirrored;
        transform_u8_or_f32(task, from, image);
      }
    }
  });
}

}  // namespace

void cpu::image_batch(const Tensor& images, const Tensor& labels, std::span<const std::int64_t> indices,
                      const ImageTransform& transform, Tensor& batch, Tensor& batch_labels, Stream&) {
  if (batch.numel() > 0 && images.dtype() == DType::u8) transform_images<std::uint8_t>(images, indices, transform, batch);
  if (batch.numel() > 0 && images.dtype() == DType::f32) transform_images<float>(images, indices, transform, batch);
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

void cpu::normalize_images(const Tensor& images, std::span<const float> mean, std::span<const float> std, Tensor& batch, Stream&) {
  const std::int64_t C = images.dim(1), H = images.dim(2), W = images.dim(3), size = C * H * W;
  const Tensor rows = channel_rows(mean, std, W, C);
  const ImageTask task = plain_task(rows, H, W, C);
  const float* from = images.data<float>();
  float* to = batch.data<float>();
  parallel_ranges(images.dim(0), std::max<std::int64_t>(1, kGrain / size), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) transform_u8_or_f32(task, from + i * size, to + i * size);
  });
}

}  // namespace gpucnn::kernels
#endif
