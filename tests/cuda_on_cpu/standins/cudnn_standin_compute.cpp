#include "cudnn_standin_compute.h"

#include <bit>
#include <cmath>
#include <vector>

namespace gpucnn::cudnn_standin {
namespace {

using Doubles = std::vector<double>;

/// To 10 bits of fraction, the nearest; of two, the one away from zero.
double to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  constexpr std::uint32_t kDropped = (1U << 13) - 1;
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(value) + (kDropped + 1) / 2) & ~kDropped);
}

/// To 7 bits of fraction, the nearest; of two, the even one.
std::uint16_t to_bf16(double value) {
  const auto narrow = static_cast<float>(value);
  if (std::isnan(narrow)) return 0x7fc0;
  const auto bits = std::bit_cast<std::uint32_t>(narrow);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// A tensor's memory as numbers.
class Numbers {
 public:
  Numbers(const Convolution& c, void* memory) : f32_(static_cast<float*>(memory)) {
    if (c.bf16) bf16_ = static_cast<std::uint16_t*>(memory);
  }
  float get(std::size_t i) const { return bf16_ ? std::bit_cast<float>(std::uint32_t{bf16_[i]} << 16) : f32_[i]; }
  void set(std::size_t i, double value) const {
    if (bf16_) {
      bf16_[i] = to_bf16(value);
    } else {
      f32_[i] = static_cast<float>(value);
    }
  }

 private:
  float* f32_;
  std::uint16_t* bf16_ = nullptr;
};

Doubles factors(const Convolution& c, Numbers numbers, std::int64_t count) {
  Doubles made(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = c.rounds_to_tf32 ? to_tf32(numbers.get(i)) : numbers.get(i);
  return made;
}

/// Calls `visit(y pixel, x pixel, tap)` for every pixel of y and every pixel of x under its window, image by image: the numbers of
/// [N, Ho, Wo], [N, H, W] and [kH, kW].
template <class Visit>
void for_each_tap(const Convolution& c, Visit visit) {
  for (std::int64_t n = 0; n < c.y.N; ++n) {
    for (std::int64_t p = 0; p < c.y.H; ++p) {
      for (std::int64_t q = 0; q < c.y.W; ++q) {
        for (std::int64_t r = 0; r < c.weight.H; ++r) {
          const std::int64_t h = p * c.stride[0] - c.padding[0] + r * c.dilation[0];
          if (h < 0 || h >= c.x.H) continue;
          for (std::int64_t s = 0; s < c.weight.W; ++s) {
            const std::int64_t w = q * c.stride[1] - c.padding[1] + s * c.dilation[1];
            if (w < 0 || w >= c.x.W) continue;
            visit((n * c.y.H + p) * c.y.W + q, (n * c.x.H + h) * c.x.W + w, r * c.weight.W + s);
          }
        }
      }
    }
  }
}

void store(const Convolution& c, const Doubles& sums, Numbers to) {
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const double before = c.beta == 0 ? 0 : c.beta * static_cast<double>(to.get(i));  // with beta 0 it is not read
    to.set(i, c.alpha * sums[i] + before);
  }
}

void forward(const Convolution& c, const Doubles& x, const Doubles& weight, Numbers bias, Numbers y) {
  const std::int64_t K = c.y.C, taps = c.weight.H * c.weight.W, group_inputs = c.weight.C, groups = c.x.C / group_inputs;
  const std::int64_t group_outputs = K / groups;
  Doubles by_output(weight.size());  // [tap, c, K]: a row for each input of a product
  for (std::int64_t k = 0; k < K; ++k) {
    for (std::int64_t i = 0; i < taps * group_inputs; ++i) {
      by_output[static_cast<std::size_t>(i * K + k)] = weight[static_cast<std::size_t>(k * taps * group_inputs + i)];
    }
  }
  Doubles sums(static_cast<std::size_t>(c.y.numel()));
  for_each_tap(c, [&](std::int64_t y_pixel, std::int64_t x_pixel, std::int64_t tap) {
    double* to = sums.data() + y_pixel * K;
    const double* from = x.data() + x_pixel * c.x.C;
    for (std::int64_t i = 0; i < c.x.C; ++i) {
      const std::int64_t first = i / group_inputs * group_outputs;
      const double* row = by_output.data() + (tap * group_inputs + i % group_inputs) * K;
      for (std::int64_t k = first; k < first + group_outputs; ++k) to[k] += from[i] * row[k];
    }
  });
  if (!c.adds) return store(c, sums, y);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    y.set(i, c.alpha_sum * c.alpha * sums[i] + c.alpha_bias * static_cast<double>(bias.get(i % static_cast<std::size_t>(K))));
  }
}

/// Calls `visit(y element, x row, weight row)` for every product of a row of inputs of one group: the numbers of the element and of
/// the rows' first elements.
template <class Visit>
void for_each_row(const Convolution& c, Visit visit) {
  const std::int64_t K = c.y.C, taps = c.weight.H * c.weight.W, group_outputs = K / (c.x.C / c.weight.C);
  for_each_tap(c, [&](std::int64_t y_pixel, std::int64_t x_pixel, std::int64_t tap) {
    for (std::int64_t k = 0; k < K; ++k) {
      visit(y_pixel * K + k, x_pixel * c.x.C + k / group_outputs * c.weight.C, (k * taps + tap) * c.weight.C);
    }
  });
}

void backward_data(const Convolution& c, const Doubles& weight, const Doubles& dy, Numbers dx) {
  Doubles sums(static_cast<std::size_t>(c.x.numel()));
  for_each_row(c, [&](std::int64_t y, std::int64_t x_row, std::int64_t weight_row) {
    const double factor = dy[static_cast<std::size_t>(y)];
    double* to = sums.data() + x_row;
    const double* from = weight.data() + weight_row;
    for (std::int64_t i = 0; i < c.weight.C; ++i) to[i] += factor * from[i];
  });
  store(c, sums, dx);
}

void backward_weights(const Convolution& c, const Doubles& x, const Doubles& dy, Numbers dweight) {
  Doubles sums(static_cast<std::size_t>(c.weight.numel()));
  for_each_row(c, [&](std::int64_t y, std::int64_t x_row, std::int64_t weight_row) {
    const double factor = dy[static_cast<std::size_t>(y)];
    double* to = sums.data() + weight_row;
    const double* from = x.data() + x_row;
    for (std::int64_t i = 0; i < c.weight.C; ++i) to[i] += factor * from[i];
  });
  store(c, sums, dweight);
}

}  // namespace

void compute(const Convolution& c, void* x, void* weight, const void* bias, void* y) {
  const Numbers xs(c, x), weights(c, weight), biases(c, const_cast<void*>(bias)), ys(c, y);
  const auto x_factors = [&] { return factors(c, xs, c.x.numel()); };
  const auto weight_factors = [&] { return factors(c, weights, c.weight.numel()); };
  const auto y_factors = [&] { return factors(c, ys, c.y.numel()); };
  switch (c.pass) {
    case Convolution::Pass::forward: return forward(c, x_factors(), weight_factors(), biases, ys);
    case Convolution::Pass::backward_data: return backward_data(c, weight_factors(), y_factors(), xs);
    case Convolution::Pass::backward_weights: return backward_weights(c, x_factors(), y_factors(), weights);
  }
}

}  // namespace gpucnn::cudnn_standin
