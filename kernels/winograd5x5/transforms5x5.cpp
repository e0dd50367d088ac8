#include <gpucnn/kernels/winograd5x5/transforms5x5.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/winograd5x5/transforms5x5.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/max_abs-inl.h>
#include <gpucnn/kernels/winograd/output_transforms-inl.h>
#include <gpucnn/kernels/winograd/pack_weights-inl.h>
#include <gpucnn/kernels/winograd/weight_grad_products-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {
namespace {

using cpu::kElements;
using cpu::kGemmPanel;
using Pieces = cpu::WindowPieces;

/// What the transforms of 3x3 windows know of y, or of dy.
cpu::WinogradTiles tiles_of(const cpu::TileGrid& grid, float floor, float max_energy) {
  cpu::WinogradTiles all{};
  all.N = grid.N;
  all.C = grid.C;
  all.K = grid.K;
  all.H = grid.H;
  all.W = grid.W;
  all.floor = floor;
  all.max_energy = max_energy;
  return all;
}

}  // namespace

bool transform_patches(const cpu::TileGrid& grid, const cpu::TileGrid::Task& task, const float* x, const float* zeros,
                       float max_energy, float* to) {
  const cpu::PatchLayout layout{grid.pixel(), cpu::kVector, grid.element()};
  bool fit = true;
  for (std::int64_t n = 0; n < task.images; ++n) {
    const float* const image = x + (task.image + n) * grid.height * grid.width * grid.C;
    float* patches = to + n * grid.image();
    for (std::int64_t i = task.row; i <= task.row + task.rows; ++i, patches += (grid.columns() + 1) * grid.pixel()) {
      const cpu::PixelRows<4> rows(image, grid.height, grid.width, grid.C, zeros, 2 * i - grid.top);
      fit &= transform_row(rows, -grid.left, grid.columns() + 1, max_energy, patches, layout, nullptr);
    }
  }
  return fit;
}

void finish_products(const cpu::TileGrid& grid, const cpu::TileGrid::Task& task, const float* products, std::int64_t stride,
                     std::int64_t k, std::int64_t end, float floor, float* y) {
  cpu::WinogradTiles all = tiles_of(grid, floor, 0);
  all.y = y;
  const FloorEpilogue epilogue{hn::Set(Floats(), floor)};
  const std::int64_t first = (task.image * grid.rows() + task.row) * grid.columns();
  for (std::int64_t row = 0; row < task.images * task.rows; ++row, products += grid.columns() * kGemmPanel) {
    const cpu::TilePlace at(all, first + row * grid.columns());
    for (std::int64_t c = k; c < end; c += kLanes) {
      finish_row(products + c - k, kGemmPanel, stride, all, at, grid.columns(), c, end - c, epilogue);
    }
  }
}

bool expand_gradients(const cpu::TileGrid& grid, const cpu::TileGrid::Task& task, const float* dy, const float* zeros,
                      float max_energy, float* to, std::int64_t stride) {
  cpu::WinogradTiles all = tiles_of(grid, 0, max_energy);
  all.zeros = zeros;
  const cpu::PatchLayout layout{cpu::round_up(grid.K, cpu::kVector), cpu::kVector, stride};
  const std::int64_t first = (task.image * grid.rows() + task.row) * grid.columns();
  bool fit = true;
  for (std::int64_t row = 0; row < task.images * task.rows; ++row, to += grid.columns() * layout.tile()) {
    fit &= expand_row(all, dy, {all, first + row * grid.columns()}, grid.columns(), to, layout);
  }
  return fit;
}

void pack_panel(const float* weight, std::int64_t C, std::int64_t K, bool exchanged, std::int64_t panel, float* to) {
  constexpr std::int64_t kTaps = Pieces::kTaps * Pieces::kTaps;
  const std::int64_t k0 = panel * kGemmPanel, count = std::min(kGemmPanel, K - k0), stride = C * kGemmPanel;
  const std::int64_t in = exchanged ? kTaps * K : 1, out = exchanged ? 1 : kTaps * C, tap_step = exchanged ? K : C;
  float taps[kTaps][kGemmPanel] = {};
  constexpr float kZeros[kGemmPanel] = {};
  for (std::int64_t c = 0; c < C; ++c, to += kGemmPanel) {
    for (std::int64_t t = 0; t < kTaps; ++t) {
      const float* const from = weight + c * in + k0 * out + (exchanged ? kTaps - 1 - t : t) * tap_step;
      for (std::int64_t k = 0; k < count; ++k) taps[t][k] = from[k * out];
    }
    for (std::int64_t piece = 0; piece < 4; ++piece) {
      const std::int64_t a = piece / 2, b = piece % 2;
      float of_piece[9][kGemmPanel], elements[kElements][kGemmPanel];
      for (std::int64_t t = 0; t < 9; ++t) {
        const std::int64_t r = t / 3, s = t % 3;
        const bool has = r < Pieces::taps_of(a) && s < Pieces::taps_of(b);
        std::copy_n(has ? taps[(Pieces::first_tap(a) + r) * Pieces::kTaps + Pieces::first_tap(b) + s] : kZeros, kGemmPanel,
                    of_piece[t]);
      }
      for (std::int64_t k = 0; k < kGemmPanel; k += kLanes)
        transform_taps(of_piece[0] + k, kGemmPanel, elements[0] + k, kGemmPanel);
      for (std::int64_t e = 0; e < kElements; ++e) {
        if (a < Pieces::first(e / 4) || b < Pieces::first(e % 4)) continue;
        std::copy_n(elements[e], kGemmPanel, to + Pieces::product(e, a, b) * stride);
      }
    }
  }
}

void finish_window(const float* sums, std::int64_t C, std::int64_t K, std::int64_t panel, std::int64_t first, std::int64_t last,
                   bool accumulate, float* dweight) {
  constexpr std::int64_t kTaps = Pieces::kTaps * Pieces::kTaps;
  const Floats d;
  const std::int64_t k0 = panel * kGemmPanel, count = std::min(kGemmPanel, K - k0), stride = C * kGemmPanel;
  for (std::int64_t c = first; c < last; ++c) {
    HWY_ALIGN float taps[kTaps][kGemmPanel];
    for (std::int64_t piece = 0; piece < 4; ++piece) {
      const std::int64_t a = piece / 2, b = piece % 2;
      for (std::int64_t k = 0; k < kGemmPanel; k += kLanes) {
        // No tap that the piece has needs an element that it has not.
        const auto sum = [&](std::int64_t e) HWY_ATTR {
          const bool has = a >= Pieces::first(e / 4) && b >= Pieces::first(e % 4);
          return has ? hn::LoadU(d, sums + Pieces::product(e, a, b) * stride + c * kGemmPanel + k) : hn::Zero(d);
        };
        Vector rows[4][3];
        for (int r = 0; r < 4; ++r) reduce_line(sum(4 * r), sum(4 * r + 1), sum(4 * r + 2), sum(4 * r + 3), rows[r]);
        for (std::int64_t s = 0; s < Pieces::taps_of(b); ++s) {
          Vector column[3];
          reduce_line(rows[0][s], rows[1][s], rows[2][s], rows[3][s], column);
          for (std::int64_t r = 0; r < Pieces::taps_of(a); ++r) {
            hn::Store(column[r], d, taps[(Pieces::first_tap(a) + r) * Pieces::kTaps + Pieces::first_tap(b) + s] + k);
          }
        }
      }
    }
    for (std::int64_t k = 0; k < count; ++k) {
      float* const to = dweight + (k0 + k) * kTaps * C + c;
      for (std::int64_t t = 0; t < kTaps; ++t) to[t * C] = taps[t][k] + (accumulate ? to[t * C] : 0.0F);
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(max_abs);
HWY_EXPORT(transform_patches);
HWY_EXPORT(finish_products);
HWY_EXPORT(expand_gradients);
HWY_EXPORT(pack_panel);
HWY_EXPORT(finish_window);

namespace cpu {

float largest_magnitude(const float* values, std::int64_t count) { return HWY_DYNAMIC_DISPATCH(max_abs)(values, count); }

bool transform_patches(const TileGrid& grid, const TileGrid::Task& task, const float* x, const float* zeros, float max_energy,
                       float* to) {
  return HWY_DYNAMIC_DISPATCH(transform_patches)(grid, task, x, zeros, max_energy, to);
}

void finish_products(const TileGrid& grid, const TileGrid::Task& task, const float* products, std::int64_t stride, std::int64_t k,
                     std::int64_t end, float floor, float* y) {
  HWY_DYNAMIC_DISPATCH(finish_products)(grid, task, products, stride, k, end, floor, y);
}

bool expand_gradients(const TileGrid& grid, const TileGrid::Task& task, const float* dy, const float* zeros, float max_energy,
                      float* to, std::int64_t stride) {
  return HWY_DYNAMIC_DISPATCH(expand_gradients)(grid, task, dy, zeros, max_energy, to, stride);
}

void pack_panel(const float* weight, std::int64_t C, std::int64_t K, bool exchanged, std::int64_t panel, float* to) {
  HWY_DYNAMIC_DISPATCH(pack_panel)(weight, C, K, exchanged, panel, to);
}

void finish_window(const float* sums, std::int64_t C, std::int64_t K, std::int64_t panel, std::int64_t first, std::int64_t last,
                   bool accumulate, float* dweight) {
  HWY_DYNAMIC_DISPATCH(finish_window)(sums, C, K, panel, first, last, accumulate, dweight);
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
