#pragma once

#include <cstdint>

#include <gpucnn/kernels/simd/prefetch.h>

// What the tasks of conv2d_relu_pool on the CPU tell the kernels that are compiled for each instruction set.
namespace gpucnn::kernels::cpu {

/// The most 4x4 input patches that the Winograd products of a group cover.
inline constexpr std::int64_t kMaxPatches = 8;

/// Terms of a gradient in one partial sum: pairwise summation at one level, so that long sums stay exact.
inline constexpr std::int64_t kPartialTerms = 1024;

/// In argmax: ReLU gave 0, so that no element of the window gets a gradient.
inline constexpr std::uint8_t kNoWinner = 4;

}  // namespace gpucnn::kernels::cpu

namespace gpucnn::kernels {

/// The forward of a band of pooled rows.
struct ForwardBand {
  std::int64_t C, K, rows, columns;
  const float* x;       // padded
  const float* weight;  // [K in blocks of kVector][3 rows][3 C][kVector]
  const float* bias;    // K, padded with zeros to a block
  float* y;             // [rows][y_row floats], of which columns * K are written
  std::int64_t y_row;
  std::uint8_t* argmax;      // [rows][columns][K]; null: not wanted
  cpu::Prefetch next[2];     // the next image; the output of the chain, if this is its last convolution
  bool finite;               // all outputs are finite, by either algorithm
  const float* transformed;  // Winograd's weights: [16][C][K in blocks]; null: use the direct convolution
  float* memory;             // Winograd's scratch: 16 kMaxPatches (C in vectors + 2 kVector) floats
};

/// The backward of a band of pooled rows. `pixels` counts its pooled pixels.
struct BackwardBand {
  std::int64_t C, K, rows, columns;
  std::int64_t span;      // 3 C, padded to vectors
  std::int64_t channels;  // K, padded to vectors
  const float* dy;        // [rows][dy_row floats], of which columns * K are read
  std::int64_t dy_row;
  const std::uint8_t* argmax;  // [pixels][K]
  float* gradient;             // [pixels][channels]: dy, or 0 where there is no winner
  std::int32_t* start;         // [pixels][channels]: the offset in the band of the winner's 3x3 input pixels
  std::uint64_t* winners;      // [pixels][4][K in words]: a bit for each channel with this argmax; null: dx is not wanted
  const float* x;              // padded
  float* dweight;              // [K][3][span], added to
  float* dbias;                // [channels], added to
  const float* weight;         // as `pack_for_data` gives it
  float* dx;                   // padded; added to in the first two rows, which the band before shares, and set in the others
  cpu::Prefetch next[4];       // x, argmax and dy of the next image; dx of this one
};

}  // namespace gpucnn::kernels
