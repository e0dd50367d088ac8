#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/common/shards.h>
#include <gpucnn/kernels/conv/onednn_convolution.h>

namespace gpucnn::kernels::onednn {

inline constexpr std::int64_t kChunk = 8;  // images of one run: what two SimpleCNN activations leave in a 2 MB cache

/// One direction of a convolution: a primitive for every number of images that a run can have, with arguments of its own for every
/// shard, since those are pointed at data while other shards run. A batch is split into shards by its size only; each runs on one
/// thread, a few images at a time so that they stay in cache. So the bits do not depend on the number of threads, which oneDNN's
/// own threading cannot promise.
class Pass {
 public:
  /// `make(images, primitive, argument)` makes the primitive for so many images, and calls `argument(kind, layout)` for each of its
  /// arguments in the order they are set, without the scratchpad. `samples`: floats that a run has room for, for each image.
  template <class Make>
  Pass(std::int64_t images, std::int64_t samples, const Engine& engine, Make make) : shards_(images) {
    const OneThread one;
    std::set<std::int64_t, std::greater<>> sizes;
    for (std::int64_t shard = 0; shard < shards_.count(); ++shard) {
      const std::int64_t count = shards_.last(shard) - shards_.first(shard);
      if (count >= kChunk) sizes.insert(kChunk);
      if (count % kChunk) sizes.insert(count % kChunk);
    }
    for (std::int64_t size : sizes) {
      Variant& variant = variants_.emplace_back(Variant{size, {}, {}});
      variant.arguments.resize(static_cast<std::size_t>(shards_.count()));
      make(variant.images, variant.primitive, [&](int kind, const dnnl::memory::desc& desc) {
        for (Arguments& arguments : variant.arguments) arguments.add(kind, desc, engine);
      });
      for (Arguments& arguments : variant.arguments) {
        arguments.add(DNNL_ARG_SCRATCHPAD, variant.primitive.scratch_desc(), engine);
      }
      scratch_bytes_ = std::max(scratch_bytes_, aligned(static_cast<std::int64_t>(variant.primitive.scratch_bytes())));
    }
    sample_bytes_ = aligned(*sizes.begin() * samples * static_cast<std::int64_t>(sizeof(float)));
  }

  const Shards& shards() const noexcept { return shards_; }

  /// A part of a shard that runs at once: so many images from `first` on. `again`: not the shard's first. `samples`: the run's
  /// room.
  struct Run {
    std::int64_t shard, first, images;
    bool again;
    float* samples;
  };

  /// Runs all shards: `point(arguments, run)` sets the arguments, `done(run)` follows.
  template <class Point, class Done>
  void run(const Engine& engine, Point point, Done done) {
    const int threads = num_threads();
    const std::int64_t bytes = scratch_bytes_ + sample_bytes_;
    Tensor memory = Tensor::empty({threads * bytes}, DType::u8);
    std::byte* const first_bytes = memory.bytes();
    parallel_for(shards_.count(), threads, [&](std::int64_t shard, int thread) {
      const OneThread one;
      const std::int64_t begin = shards_.first(shard), end = shards_.last(shard);
      std::byte* const mine = first_bytes + thread * bytes;
      for (std::int64_t first = begin; first < end;) {
        const Run run{shard, first, std::min(kChunk, end - first), first != begin, reinterpret_cast<float*>(mine + scratch_bytes_)};
        Variant& variant = *std::ranges::find(variants_, run.images, &Variant::images);
        Arguments& arguments = variant.arguments[static_cast<std::size_t>(shard)];
        point(arguments, run);
        arguments.set(arguments.size() - 1, mine);
        arguments.run(variant.primitive, engine);
        done(run);
        first += run.images;
      }
    });
  }

 private:
  struct Variant {
    std::int64_t images;
    Primitive primitive;
    std::vector<Arguments> arguments;  // one a shard
  };

  static std::int64_t aligned(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

  Shards shards_;
  std::vector<Variant> variants_;
  std::int64_t scratch_bytes_ = 0, sample_bytes_ = 0;  // of a thread
};

/// The layout of weights that the first primitive made chooses and the others follow.
class Layout {
 public:
  void impose(dnnl::memory::desc& weight) const {
    if (chosen_) weight = *chosen_;
  }
  void note(const dnnl::memory::desc& weight) {
    if (!chosen_) chosen_ = weight;
  }
  const dnnl::memory::desc& get() const { return *chosen_; }

 private:
  std::optional<dnnl::memory::desc> chosen_;
};

}  // namespace gpucnn::kernels::onednn
