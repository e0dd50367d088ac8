#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/common/shards.h>
#include <gpucnn/kernels/conv2d_onednn/onednn_convolution.h>

namespace gpucnn::kernels::onednn {

inline constexpr std::int64_t kChunkImages = 8;  // of activations of this many images two fit into a 2 MB cache

/// One pass of a convolution as primitives that run shard by shard. A batch is split into shards by its size only. Each runs on one
/// thread, in chunks of a few images, so that they stay in cache. So the bits do not depend on the number of threads, which
/// oneDNN's own threading cannot promise. There is a primitive for every size of a chunk. Every shard has arguments of its own,
/// because they are pointed at data while other shards run.
class ShardedPrimitive {
 public:
  /// `make(images, primitive, argument)` makes the primitive for so many images. It calls `argument(kind, layout)` for each of its
  /// arguments but the scratchpad, in the order they are set. `gathered`: floats of scratch memory for each image of a chunk.
  template <class Make>
  ShardedPrimitive(std::int64_t images, std::int64_t gathered, const Engine& engine, Make make) : shards_(images) {
    const OneThread one;
    std::set<std::int64_t, std::greater<>> sizes;
    for (std::int64_t shard = 0; shard < shards_.count(); ++shard) {
      const std::int64_t count = shards_.last(shard) - shards_.first(shard);
      if (count >= kChunkImages) sizes.insert(kChunkImages);
      if (count % kChunkImages) sizes.insert(count % kChunkImages);
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
    gathered_bytes_ = aligned(*sizes.begin() * gathered * static_cast<std::int64_t>(sizeof(float)));
  }

  const Shards& shards() const noexcept { return shards_; }

  /// The images of a shard that run at once: so many from `first` on. `again`: not the shard's first chunk. `gathered`: scratch
  /// memory.
  struct Chunk {
    std::int64_t shard, first, images;
    bool again;
    float* gathered;
  };

  /// Runs all shards: `set(arguments, chunk)` sets the arguments, `done(chunk)` follows.
  template <class Set, class Done>
  void run(const Engine& engine, Set set, Done done) {
    const int threads = num_threads();
    const std::int64_t bytes = scratch_bytes_ + gathered_bytes_;
    Tensor memory = Tensor::empty({threads * bytes}, DType::u8);
    std::byte* const first_bytes = memory.bytes();
    parallel_for(shards_.count(), threads, [&](std::int64_t shard, int thread) {
      const OneThread one;
      const std::int64_t begin = shards_.first(shard), end = shards_.last(shard);
      std::byte* const mine = first_bytes + thread * bytes;
      for (std::int64_t first = begin; first < end;) {
        const Chunk chunk{shard, first, std::min(kChunkImages, end - first), first != begin,
                          reinterpret_cast<float*>(mine + scratch_bytes_)};
        Variant& variant = *std::ranges::find(variants_, chunk.images, &Variant::images);
        Arguments& arguments = variant.arguments[static_cast<std::size_t>(shard)];
        set(arguments, chunk);
        arguments.set(arguments.size() - 1, mine);
        arguments.run(variant.primitive, engine);
        done(chunk);
        first += chunk.images;
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
  std::int64_t scratch_bytes_ = 0, gathered_bytes_ = 0;  // of a thread
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
