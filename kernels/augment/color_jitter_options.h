#pragma once

namespace gpucnn {

/// torchvision's ColorJitter with its names and defaults. A factor is drawn uniformly from [max(0, 1 - value), 1 + value], that of
/// the hue from [-hue, hue]. What is 0 is left out.
struct ColorJitterOptions {
  double brightness = 0;  ///< >= 0
  double contrast = 0;    ///< >= 0
  double saturation = 0;  ///< >= 0
  double hue = 0;         ///< in turns of the colour circle, in [0, 0.5]

  /// Whether it changes anything.
  bool any() const noexcept { return brightness != 0 || contrast != 0 || saturation != 0 || hue != 0; }
};

}  // namespace gpucnn
