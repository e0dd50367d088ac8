#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gpucnn/core/tensor.h>
#include <gpucnn/data/normalize.h>

namespace gpucnn {

/// Adds up the bytes of images channel by channel, in whole numbers: neither the order nor the number of threads matters.
class PixelStatistics {
 public:
  /// images: u8 [N, C, H, W] on the CPU, of the same C in every call.
  void add(const Tensor& images);

  /// The sums, for another process; and what `text` gave there, of images of the same C, or of none.
  std::string text() const;
  void add(const std::string& text);

  /// The mean and the standard deviation of each channel's values / 255 over all pixels (divided by how many they are, as
  /// `torch.std(correction=0)`). A channel of one value, which has no deviation, gets 1.
  Normalize normalize() const;

 private:
  std::vector<std::uint64_t> sums_, squares_;
  std::uint64_t pixels_ = 0;
};

}  // namespace gpucnn
