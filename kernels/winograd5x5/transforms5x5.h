#pragma once

#include <cstdint>

#include <gpucnn/kernels/winograd5x5/tile_grid.h>

// What Winograd does before and after its products, for a 5x5 window.
namespace gpucnn::kernels::cpu {

/// Infinite or NaN if a value is.
float largest_magnitude(const float* values, std::int64_t count);

/// The transformed patches of a task: `to` has kElements elements, grid.element() floats apart. `zeros`: C floats, a pixel of the
/// padding. False if one is not finite, or its sum of squares is more than `max_energy`.
bool transform_patches(const TileGrid& grid, const TileGrid::Task& task, const float* x, const float* zeros, float max_energy,
                       float* to);

/// y of a task's tiles, channels [k, end), from the products: kElements elements `stride` apart, of [tiles][kGemmPanel]. Outputs
/// below `floor` become 0.
void finish_products(const TileGrid& grid, const TileGrid::Task& task, const float* products, std::int64_t stride, std::int64_t k,
                     std::int64_t end, float floor, float* y);

/// A dy A^T of a task's tiles: kElements elements `stride` apart, of [tiles][K, rounded up to kVector]. `zeros`: K floats. False
/// if one is not finite, or its sum of squares is more than `max_energy`.
bool expand_gradients(const TileGrid& grid, const TileGrid::Task& task, const float* dy, const float* zeros, float max_energy,
                      float* to, std::int64_t stride);

/// A panel of output channels of transformed weights: [kProducts][C][kGemmPanel]. `exchanged`: those of the gradient of x, from the
/// weights [C, K, 5, 5] of a convolution.
void pack_panel(const float* weight, std::int64_t C, std::int64_t K, bool exchanged, std::int64_t panel, float* to);

/// G^T m G of a panel's sums, [kProducts][C][kGemmPanel], for input channels [first, last): the gradient of weights [K, 5, 5, C].
void finish_window(const float* sums, std::int64_t C, std::int64_t K, std::int64_t panel, std::int64_t first, std::int64_t last,
                   bool accumulate, float* dweight);

}  // namespace gpucnn::kernels::cpu
