#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

#include "reference/values.h"

/// torchvision's augmentations of single images, [C, H, W].
namespace gpucnn::reference {

struct Picture {
  std::int64_t C, H, W;
  Values values;

  Picture(std::int64_t C_, std::int64_t H_, std::int64_t W_)
      : C(C_), H(H_), W(W_), values(static_cast<std::size_t>(C_ * H_ * W_)) {}
  double& at(std::int64_t c, std::int64_t h, std::int64_t w) { return values[static_cast<std::size_t>((c * H + h) * W + w)]; }
  double at(std::int64_t c, std::int64_t h, std::int64_t w) const { return values[static_cast<std::size_t>((c * H + h) * W + w)]; }
};

/// Images [N, C, H, W] as pictures, and back.
inline std::vector<Picture> pictures_of(std::span<const double> values, std::int64_t N, std::int64_t C, std::int64_t H,
                                        std::int64_t W) {
  std::vector<Picture> pictures(static_cast<std::size_t>(N), Picture(C, H, W));
  for (std::size_t n = 0; n < pictures.size(); ++n) {
    const auto image = values.subspan(n * pictures[n].values.size(), pictures[n].values.size());
    std::copy(image.begin(), image.end(), pictures[n].values.begin());
  }
  return pictures;
}

inline Values values_of(const std::vector<Picture>& pictures) {
  Values all;
  for (const Picture& picture : pictures) all.insert(all.end(), picture.values.begin(), picture.values.end());
  return all;
}

inline double grey(const Picture& x, std::int64_t h, std::int64_t w) {
  return x.C == 1 ? x.at(0, h, w) : 0.2989 * x.at(0, h, w) + 0.587 * x.at(1, h, w) + 0.114 * x.at(2, h, w);
}

/// clamp(factor x + (1 - factor) other(h, w), 0, 1).
template <class Other>
Picture blended(const Picture& x, double factor, const Other& other) {
  Picture y = x;
  for (std::int64_t c = 0; c < x.C; ++c) {
    for (std::int64_t h = 0; h < x.H; ++h) {
      for (std::int64_t w = 0; w < x.W; ++w)
        y.at(c, h, w) = std::clamp(factor * x.at(c, h, w) + (1 - factor) * other(h, w), 0.0, 1.0);
    }
  }
  return y;
}

inline Picture adjust_brightness(const Picture& x, double factor) {
  return blended(x, factor, [](std::int64_t, std::int64_t) { return 0.0; });
}

inline Picture adjust_contrast(const Picture& x, double factor) {
  double mean = 0;
  for (std::int64_t h = 0; h < x.H; ++h) {
    for (std::int64_t w = 0; w < x.W; ++w) mean += grey(x, h, w) / static_cast<double>(x.H * x.W);
  }
  return blended(x, factor, [&](std::int64_t, std::int64_t) { return mean; });
}

inline Picture adjust_saturation(const Picture& x, double factor) {
  return x.C == 1 ? x : blended(x, factor, [&](std::int64_t h, std::int64_t w) { return grey(x, h, w); });
}

/// Smith, "Color gamut transform pairs" (SIGGRAPH 1978): a hexcone, whose six sectors the hue h, from 0 to 6, goes through.
inline std::array<double, 3> turned_hue(const std::array<double, 3>& rgb, double turn) {
  const auto [r, g, b] = rgb;
  const double v = std::max({r, g, b}), range = v - std::min({r, g, b});
  if (range == 0) return rgb;
  const double h = v == r ? (g - b) / range : v == g ? 2 + (b - r) / range : 4 + (r - g) / range;
  const auto channel = [&](double offset) {
    double k = std::fmod(h + 6 * turn + offset + 12, 6);  // how far from where this channel is least
    k = std::clamp(std::min(k, 4 - k), 0.0, 1.0);
    return v - range * k;
  };
  return {channel(5), channel(3), channel(1)};
}

inline Picture adjust_hue(const Picture& x, double turn) {
  if (x.C == 1) return x;
  Picture y = x;
  for (std::int64_t h = 0; h < x.H; ++h) {
    for (std::int64_t w = 0; w < x.W; ++w) {
      const auto rgb = turned_hue({x.at(0, h, w), x.at(1, h, w), x.at(2, h, w)}, turn);
      for (std::int64_t c = 0; c < 3; ++c) y.at(c, h, w) = rgb[static_cast<std::size_t>(c)];
    }
  }
  return y;
}

/// Adjustment 0 to 3: brightness, contrast, saturation, hue.
inline Picture adjusted(const Picture& x, std::size_t adjustment, double factor) {
  constexpr std::array kAdjust{adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue};
  return kAdjust[adjustment](x, factor);
}

/// The part of H by W pixels from (top, left) on, resized to `height` by `width`: bilinear, the pixels' corners aligned, without
/// antialiasing.
inline Picture resized_crop(const Picture& x, std::int64_t top, std::int64_t left, std::int64_t H, std::int64_t W,
                            std::int64_t height, std::int64_t width) {
  const auto place = [](std::int64_t o, std::int64_t out, std::int64_t in) {
    return std::max(0.0, (static_cast<double>(o) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5);
  };
  Picture y(x.C, height, width);
  for (std::int64_t i = 0; i < height; ++i) {
    for (std::int64_t j = 0; j < width; ++j) {
      const double row = place(i, height, H), column = place(j, width, W);
      const auto h = static_cast<std::int64_t>(row), w = static_cast<std::int64_t>(column);
      const double down = row - static_cast<double>(h), right = column - static_cast<double>(w);
      for (std::int64_t c = 0; c < x.C; ++c) {
        const auto pixel = [&](std::int64_t a, std::int64_t b) {
          return x.at(c, top + std::min(a, H - 1), left + std::min(b, W - 1));
        };
        y.at(c, i, j) = (1 - down) * ((1 - right) * pixel(h, w) + right * pixel(h, w + 1)) +
                        down * ((1 - right) * pixel(h + 1, w) + right * pixel(h + 1, w + 1));
      }
    }
  }
  return y;
}

inline Picture mirrored(const Picture& x) {
  Picture y = x;
  for (std::int64_t c = 0; c < x.C; ++c) {
    for (std::int64_t h = 0; h < x.H; ++h) {
      for (std::int64_t w = 0; w < x.W; ++w) y.at(c, h, w) = x.at(c, h, x.W - 1 - w);
    }
  }
  return y;
}

/// Each picture with the one before it, the first with the last: everywhere, by its own share.
inline std::vector<Picture> mixed_up(const std::vector<Picture>& x, double own) {
  std::vector<Picture> y = x;
  for (std::size_t n = 0; n < x.size(); ++n) {
    const Picture& other = x[(n + x.size() - 1) % x.size()];
    for (std::size_t e = 0; e < other.values.size(); ++e) y[n].values[e] = own * x[n].values[e] + (1 - own) * other.values[e];
  }
  return y;
}

/// The same in rows [top, bottom) and columns [left, right) alone, which are the other's.
inline std::vector<Picture> mixed_in_box(const std::vector<Picture>& x, std::int64_t top, std::int64_t bottom, std::int64_t left,
                                         std::int64_t right) {
  std::vector<Picture> y = x;
  for (std::size_t n = 0; n < x.size(); ++n) {
    const Picture& other = x[(n + x.size() - 1) % x.size()];
    for (std::int64_t c = 0; c < other.C; ++c) {
      for (std::int64_t h = top; h < bottom; ++h) {
        for (std::int64_t w = left; w < right; ++w) y[n].at(c, h, w) = other.at(c, h, w);
      }
    }
  }
  return y;
}

inline Values mixed_labels(const std::vector<std::int32_t>& labels, std::int64_t K, double own) {
  Values y(labels.size() * static_cast<std::size_t>(K));
  for (std::size_t n = 0; n < labels.size(); ++n) {
    const auto row = n * static_cast<std::size_t>(K);
    y[row + static_cast<std::size_t>(labels[n])] += own;
    y[row + static_cast<std::size_t>(labels[(n + labels.size() - 1) % labels.size()])] += 1 - own;
  }
  return y;
}

}  // namespace gpucnn::reference
