#pragma once

#include <cstdint>
#include <span>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/data/batch.h>
#include <gpucnn/kernels/image/image_batch.h>

namespace gpucnn {

/// Numbered examples of images and labels. For data of your own override `size`, `image_shape` and `get`; what a DataLoader does
/// besides (crop, flip, change colours, normalise, cut out) is done here; it alone mixes images.
class GPUCNN_API Dataset {
 public:
  virtual ~Dataset();

  /// How many examples there are.
  virtual std::int64_t size() const = 0;

  /// [C, H, W] of every image.
  virtual Shape image_shape() const = 0;

  /// The examples with these numbers, each in [0, size()), in this order: images u8 (0 to 255) or f32 (0 to 1) [N, C, H, W], labels
  /// u8, i32 or i64 [N] or targets f32 [N, …], both on `device()`.
  virtual Batch get(std::span<const std::int64_t> indices) const = 0;

  /// Where `get` puts its tensors: the CPU unless overridden.
  virtual Device device() const;

  /// What a DataLoader delivers for these numbers: the images of `get` through `transform`, f32, and the labels as i32, or f32
  /// targets as they are. Throws `std::invalid_argument` if `get` gave something else than it promises, or a label that i32 does
  /// not hold. The loss checks the classes. Override it where one pass can do both.
  virtual Batch transformed(std::span<const std::int64_t> indices, const kernels::ImageTransform& transform, Stream& stream) const;
};

}  // namespace gpucnn
