#include <gpucnn/kernels/linear/output_panels.h>

#include <algorithm>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/core/threads/threads.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/linear/output_panels.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/linear/output_panels-inl.h>

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(panel_shape);
HWY_EXPORT(pack_terms);
HWY_EXPORT(panel_product);

namespace cpu {
namespace {

/// [0, count) in `parts` parts that differ by one at most.
struct EvenSplit {
  std::int64_t count, parts;
  std::int64_t first(std::int64_t part) const { return part * count / parts; }
  std::int64_t length(std::int64_t part) const { return first(part + 1) - first(part); }
};

/// Tiles of images that pass a panel while it lies in the second-level cache, as they do themselves.
constexpr std::int64_t kGroup = 10;

/// Packed blocks of terms, `width` floats each, side by side.
class PackedBlocks {
 public:
  PackedBlocks(std::int64_t count, std::int64_t terms, std::int64_t width)
      : room_(std::min(terms, kTermsOfSum) * width + kPadding),
        memory_(Tensor::empty({count, room_})),
        data_(memory_.data<float>()) {}
  float* get(std::int64_t index) const { return data_ + index * room_; }
  /// The memory itself, and blocks in memory that came from there.
  const Tensor& memory() const { return memory_; }
  explicit PackedBlocks(const Tensor& memory) : room_(memory.dim(1)), memory_(memory), data_(memory_.data<float>()) {}

 private:
  std::int64_t room_;
  Tensor memory_;
  float* data_;
};

class Product {
 public:
  Product(const GemmNT& p, const PanelShape& shape) : p_(p), shape_(shape) {}

  /// All weights, packed.
  Tensor pack_weights() const {
    const PackedBlocks kept(blocks() * panels(), p_.I, shape_.outputs);
    parallel_for(blocks() * panels(), [&, this](std::int64_t index) {
      const std::int64_t first = index / panels() * kTermsOfSum, o = index % panels() * shape_.outputs;
      pack_panel(o, first, kept.get(index));
    });
    return kept.memory();
  }

  /// `packed`: what `pack_weights` gave, or undefined. A block of terms at a time, so that its images stay in cache while all
  /// panels pass.
  void run(const Tensor& packed) {
    const bool kept = packed.defined();
    const PackedBlocks weights = kept ? PackedBlocks(packed) : PackedBlocks(num_threads(), p_.I, shape_.outputs);
    const int threads = kept ? num_threads() : static_cast<int>(weights.memory().dim(0));
    for (std::int64_t block = 0; block < blocks(); ++block) {
      parallel_for(tiles_.parts, [=, this](std::int64_t tile) { pack_images(tile, block * kTermsOfSum); });
      parallel_for(groups_.parts * panels(), threads, [=, &weights, this](std::int64_t task, int thread) {
        const std::int64_t panel = task % panels(), o = panel * shape_.outputs, first = block * kTermsOfSum;
        const std::int64_t next = o + shape_.outputs, index = kept ? block * panels() + panel : thread;
        if (!kept) pack_panel(o, first, weights.get(index));
        const float* ahead = kept ? weights.get(index + 1) : p_.weight + next * p_.I + first;
        multiply(task / panels(), o, first, weights.get(index), {ahead, outputs(next), kept ? terms(first) : p_.I});
      });
    }
  }

 private:
  std::int64_t blocks() const { return (p_.I + kTermsOfSum - 1) / kTermsOfSum; }
  std::int64_t panels() const { return (p_.O + shape_.outputs - 1) / shape_.outputs; }
  std::int64_t terms(std::int64_t first) const { return std::min(kTermsOfSum, p_.I - first); }
  std::int64_t outputs(std::int64_t o) const { return std::clamp<std::int64_t>(p_.O - o, 0, shape_.outputs); }

  void pack_panel(std::int64_t o, std::int64_t first, float* to) const {
    HWY_DYNAMIC_DISPATCH(pack_terms)(p_.weight + o * p_.I + first, p_.I, outputs(o), terms(first), shape_.outputs, to);
  }

  void pack_images(std::int64_t tile, std::int64_t first) const {
    HWY_DYNAMIC_DISPATCH(pack_terms)
    (p_.x + tiles_.first(tile) * p_.I + first, p_.I, tiles_.length(tile), terms(first), shape_.image_width, images_.get(tile));
  }

  /// A group's tiles with the panel of output o. `ahead`: the next panel, as it lies in memory.
  void multiply(std::int64_t group, std::int64_t o, std::int64_t first, const float* weights, const Rows& ahead) const {
    const std::int64_t tiles = groups_.length(group);
    const EvenSplit rows{ahead.count, tiles};  // some with each tile
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t tile = groups_.first(group) + t;
      HWY_DYNAMIC_DISPATCH(panel_product)
      ({.images = tiles_.length(tile),
        .outputs = outputs(o),
        .terms = terms(first),
        .x = images_.get(tile),
        .weight = weights,
        .bias = p_.bias ? p_.bias + o : nullptr,
        .y = p_.y + tiles_.first(tile) * p_.y_stride + o,
        .y_stride = p_.y_stride,
        .added = first > 0,
        .epilogue = first + kTermsOfSum >= p_.I ? p_.epilogue : Activation{},
        .ahead = {ahead.from + rows.first(t) * ahead.stride, rows.length(t), ahead.stride}});
    }
  }

  GemmNT p_;
  PanelShape shape_;
  EvenSplit tiles_{p_.N, (p_.N + shape_.images - 1) / shape_.images};
  EvenSplit groups_{tiles_.parts, (tiles_.parts + kGroup - 1) / kGroup};
  PackedBlocks images_{tiles_.parts, p_.I, shape_.image_width};
};

}  // namespace

bool OutputPanels::pay(std::int64_t N, std::int64_t I, std::int64_t O) {
  // A panel is packed for enough images, an image for enough outputs. Weights that lie near are as fast where they are.
  constexpr std::int64_t kMinImages = 64, kMinTerms = 256, kMinOutputs = 128;
  return N >= kMinImages && I >= kMinTerms && O >= kMinOutputs && I * O > kNearWeights;
}

void OutputPanels::multiply(const GemmNT& p, std::uint64_t version) {
  const PanelShape shape = HWY_DYNAMIC_DISPATCH(panel_shape)();
  const bool same = version != 0 && version == version_ && p.weight == weight_ && shape.outputs == outputs_;
  if (!same) packed_ = {};
  weight_ = p.weight;
  version_ = version;
  outputs_ = shape.outputs;
  Product product(p, shape);
  if (same && !packed_.defined()) packed_ = product.pack_weights();
  product.run(packed_);
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
