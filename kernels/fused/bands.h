#pragma once

#include <cstdint>

#include <gpucnn/kernels/simd/prefetch.h>

// What the tasks of conv2d_relu_pool on the CPU tell the kernels that are compiled for each instruction set.
namespace gpucnn::kernels::cpu {

/// Patches of 4x4 inputs that Winograd's products take at once, at most.
inline constexpr std::int64_t kMostPatches = 8;

/// Terms of a gradient added up before their sum is added to others, so that long sums stay exact.
inline constexpr std::int64_t kSummed = 1024;

}  // namespace gpucnn::kernels::cpu

namespace gpucnn::kernels {

/// A band of pooled rows on its way. Places are null where none are wanted.
struct ForwardBand {
  std::int64_t C, K, rows, columns;
  const float* x;       // padded
  const float* weight;  // [K in blocks of kVector][3 rows][3 C][kVector]
  const float* bias;    // K, padded with zeros to a block
  float* y;             // [rows][y_row floats], of which columns * K are written
  std::int64_t y_row;
  std::uint8_t* place;       // [rows][columns][K]
  cpu::Prefetch next[2];     // the image after this one; what the pass gives, where this is its last convolution
  bool finite;               // all outputs are for sure, whichever way they are computed
  const float* transformed;  // for Winograd's products: [16][C][K in blocks]; null: none are wanted
  float* memory;             // for those: 16 kMostPatches (C in vectors + 2 kVector) floats
};

/// A band of pooled rows on its way back. `pixels` counts its pooled pixels.
struct BackwardBand {
  std::int64_t C, K, rows, columns;
  std::int64_t span;      // 3 C, padded to vectors
  std::int64_t channels;  // K, padded to vectors
  const float* dy;        // [rows][dy_row floats], of which columns * K are read
  std::int64_t dy_row;
  const std::uint8_t* place;  // [pixels][K]
  float* gradient;            // [pixels][channels]: dy, 0 where it ends
  std::int32_t* start;        // [pixels][channels]: where in the band the winner's input pixels begin
  std::uint64_t* winners;     // [pixels][4][K in words]: which channels won with each place; null: dx is not wanted
  const float* x;             // padded
  float* dweight;             // [K][3][span], added to
  float* dbias;               // [channels], added to
  const float* weight;        // as `pack_for_data` gives it
  float* dx;                  // padded; its first two rows, which the band before shares, are added to, the others set
  cpu::Prefetch next[4];      // x, places and dy of the image after this one; dx of this one
};

}  // namespace gpucnn::kernels
