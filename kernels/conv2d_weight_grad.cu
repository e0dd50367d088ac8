#include <gpucnn/kernels/conv2d_weight_grad.h>

#include <algorithm>

#include <gpucnn/core/launch.h>
#include <gpucnn/kernels/elements.h>

// The gradient is a product of two matrices: of dy, transposed, [K, places], and of the patches of x, [places, taps]. A place is a
// pixel of y in some image, a tap an element of the window: (r, s, c) as the weight lies in memory. A block multiplies one tile of
// the result over one slice of the places, which it brings to shared memory stage by stage, one ahead of what it multiplies; its
// teams of threads share the places of a stage among them. A second kernel adds the slices.
namespace gpucnn::kernels::cuda {
namespace {

/// kM x kN elements of the gradient; a thread has kRows x kColumns of them.
template <int M, int N, int Rows, int Columns, int Teams>
struct Tile {
  static constexpr int kM = M, kN = N, kRows = Rows, kColumns = Columns, kTeams = Teams;
  static constexpr int kLanesM = kM / kRows, kLanesN = kN / kColumns, kTeam = kLanesM * kLanesN, kThreads = kTeam * kTeams;
  static constexpr int kDepth = 8, kStage = kDepth * kTeams;       // places of a stage for each team, and in all
  static constexpr int kPitch = kN % 32 == 0 ? kN + kLanesN : kN;  // teams of one warp read from different banks
  static constexpr int kBuffer = kStage * (kM + kPitch);           // floats of a stage: of dy, then of patches
  static constexpr int kFloats = std::max(2 * kBuffer, kTeams* kM* kN);
};
using Large = Tile<32, 144, 8, 9, 2>;  // 16 channels under a window of 3x3
using Small = Tile<16, 32, 8, 4, 8>;   // an image's 3

struct Sizes {
  std::int64_t places;
  int C, H, W, K, Ho, Wo;
  int kW, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int taps;
  bool bias;

  /// Of a slice's sums: the gradient of the weight, then that of the bias.
  __host__ __device__ std::int64_t weights() const { return std::int64_t{K} * taps; }
  __host__ __device__ std::int64_t sums() const { return weights() + (bias ? K : 0); }
};

/// How the work is divided among blocks.
struct Division {
  std::int64_t tiles_m, tiles_n, slices, places;  // places: of each slice but perhaps the last

  __host__ __device__ std::int64_t blocks() const { return tiles_m * tiles_n * slices; }
};

/// Where the window of a place begins: in its image, which may be outside of it, and in memory.
struct Corner {
  std::int64_t offset;
  int h, w;
};

constexpr int kNowhere = -(1 << 29);  // a row to which no tap can be added that leads into the image

__device__ Corner corner_of(std::int64_t place, std::int64_t end, const Sizes& s) {
  if (place >= end) return {0, kNowhere, 0};
  const std::int64_t line = place / s.Wo, n = line / s.Ho;
  const int h = static_cast<int>(line % s.Ho) * s.stride_h - s.padding_h;
  const int w = static_cast<int>(place % s.Wo) * s.stride_w - s.padding_w;
  return {((n * s.H + h) * s.W + w) * s.C, h, w};
}

/// From the corner of a window to one of its taps.
__device__ Corner step_to(int tap, const Sizes& s) {
  if (tap >= s.taps) return {0, kNowhere, 0};
  const int pixel = tap / s.C, h = pixel / s.kW * s.dilation_h, w = pixel % s.kW * s.dilation_w;
  return {(std::int64_t{h} * s.W + w) * s.C + tap % s.C, h, w};
}

/// `kWidth` neighbours, widened.
template <class T, int kWidth>
__device__ void put(const Lanes<T, kWidth>& values, float* to) {
  Lanes<float, kWidth> wide;
  for (int i = 0; i < kWidth; ++i) wide.at[i] = widen(values.at[i]);
  store(wide, to);
}

/// sums[slice] = what the slice's places add to the gradients. `kWidth` channels of x and of dy are read at once.
template <class Tile, int kWidth, class T>
__global__ void slices_kernel(const T* x, const T* dy, float* sums, Sizes s, Division d) {
  constexpr int kM = Tile::kM, kN = Tile::kN, kRows = Tile::kRows, kColumns = Tile::kColumns, kTeams = Tile::kTeams;
  constexpr int kStage = Tile::kStage, kThreads = Tile::kThreads;
  constexpr int kItemsM = kM / kWidth, kItemsN = kN / kWidth;  // of a place
  constexpr int kLoadsM = kStage * kItemsM / kThreads, kLoadsN = (kStage * kItemsN + kThreads - 1) / kThreads;
  static_assert(kStage * kItemsM % kThreads == 0 && kThreads % kItemsM == 0 && kThreads >= kStage && kThreads >= kM);
  using Eight = Lanes<float, kRows>;
  GPUCNN_SHARED(Eight, memory, Tile::kFloats / kRows);
  GPUCNN_SHARED(Corner, corners, 2 * kStage);
  GPUCNN_SHARED(Corner, steps, kItemsN);
  float* const shared = memory[0].at;

  const int thread = static_cast<int>(threadIdx.x), team = thread / Tile::kTeam;
  const int lane_m = thread % Tile::kTeam / Tile::kLanesN, lane_n = thread % Tile::kLanesN;
  const int item_m = thread % kItemsM * kWidth;  // the row of the tile of which this thread reads dy

  for (std::int64_t block = blockIdx.x; block < d.blocks(); block += gridDim.x) {
    const std::int64_t slice = block / (d.tiles_m * d.tiles_n), first = slice * d.places;
    const std::int64_t end = first + d.places < s.places ? first + d.places : s.places;
    const int m_first = static_cast<int>(block / d.tiles_n % d.tiles_m) * kM, n_first = static_cast<int>(block % d.tiles_n) * kN;
    const int stages = static_cast<int>((end - first + kStage - 1) / kStage);

    const auto find_corners = [&](int stage) {
      if (thread < kStage) {
        corners[stage % 2 * kStage + thread] = corner_of(first + std::int64_t{stage} * kStage + thread, end, s);
      }
    };
    Lanes<T, kWidth> gradients[kLoadsM], patches[kLoadsN];
    const auto read = [&](int stage) {
      for (int i = 0; i < kLoadsM; ++i) {
        const std::int64_t place = first + std::int64_t{stage} * kStage + (i * kThreads + thread) / kItemsM;
        gradients[i] = {};
        if (place < end && m_first + item_m < s.K) gradients[i] = load<kWidth>(dy + place * s.K + m_first + item_m);
      }
      for (int i = 0; i < kLoadsN; ++i) {
        const int item = i * kThreads + thread;
        patches[i] = {};
        if (kStage * kItemsN % kThreads != 0 && item >= kStage * kItemsN) continue;
        const Corner corner = corners[stage % 2 * kStage + item / kItemsN], step = steps[item % kItemsN];
        const int h = corner.h + step.h, w = corner.w + step.w;
        if (h >= 0 && h < s.H && w >= 0 && w < s.W) patches[i] = load<kWidth>(x + corner.offset + step.offset);
      }
    };
    float bias[kWidth] = {};
    const auto keep = [&](int stage) {
      float* const dy_to = shared + stage % 2 * Tile::kBuffer;
      float* const patches_to = dy_to + kStage * kM;
      for (int i = 0; i < kLoadsM; ++i) {
        put(gradients[i], dy_to + (i * kThreads + thread) / kItemsM * kM + item_m);
        for (int c = 0; c < kWidth; ++c) bias[c] += widen(gradients[i].at[c]);
      }
      for (int i = 0; i < kLoadsN; ++i) {
        const int item = i * kThreads + thread;
        if (kStage * kItemsN % kThreads != 0 && item >= kStage * kItemsN) continue;
        put(patches[i], patches_to + item / kItemsN * Tile::kPitch + item % kItemsN * kWidth);
      }
    };
    float products[kRows][kColumns] = {};
    const auto multiply = [&](int stage) {
      const float* const dy_from = shared + stage % 2 * Tile::kBuffer + lane_m * kRows;
      const float* const patches_from = shared + stage % 2 * Tile::kBuffer + kStage * kM + lane_n;
      for (int k = 0; k < Tile::kDepth; ++k) {
        const int row = k * kTeams + team;
        const auto a = load<kRows>(dy_from + row * kM);
        float b[kColumns];
        for (int j = 0; j < kColumns; ++j) b[j] = patches_from[row * Tile::kPitch + j * Tile::kLanesN];
        for (int i = 0; i < kRows; ++i) {
          for (int j = 0; j < kColumns; ++j) products[i][j] = fmaf(a.at[i], b[j], products[i][j]);
        }
      }
    };

    for (int item = thread; item < kItemsN; item += kThreads) steps[item] = step_to(n_first + item * kWidth, s);
    find_corners(0);
    __syncthreads();
    read(0);
    find_corners(1);
    keep(0);
    __syncthreads();
    for (int stage = 0; stage < stages; ++stage) {
      const bool more = stage + 1 < stages;
      if (more) read(stage + 1);
      find_corners(stage + 2);
      multiply(stage);
      if (more) keep(stage + 1);
      __syncthreads();
    }

    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kColumns; ++j) {
        shared[(team * kM + lane_m * kRows + i) * kN + lane_n + j * Tile::kLanesN] = products[i][j];
      }
    }
    __syncthreads();
    float* const to = sums + slice * s.sums();
    for (int e = thread; e < kM * kN; e += kThreads) {
      const int m = m_first + e / kN, n = n_first + e % kN;
      if (m >= s.K || n >= s.taps) continue;
      float sum = shared[e];
      for (int t = 1; t < kTeams; ++t) sum += shared[t * kM * kN + e];
      to[std::int64_t{m} * s.taps + n] = sum;
    }
    __syncthreads();
    if (s.bias && n_first == 0) {
      for (int c = 0; c < kWidth; ++c) shared[thread / kItemsM * kM + item_m + c] = bias[c];
      __syncthreads();
      if (thread < kM && m_first + thread < s.K) {
        float sum = 0;
        for (int line = 0; line < kThreads / kItemsM; ++line) sum += shared[line * kM + thread];
        to[s.weights() + m_first + thread] = sum;
      }
      __syncthreads();
    }
  }
}

constexpr int kAdders = 32, kLines = 8;  // of a block that adds slices: neighbours, for each of which it has so many threads

/// What the slices' sums add up to: dweight, and behind it dbias.
__global__ void add_slices_kernel(const float* sums, std::int64_t slices, Sizes s, bool add_weight, bool add_bias, float* dweight,
                                  float* dbias) {
  GPUCNN_SHARED(double, lines, kLines* kAdders);
  const int column = static_cast<int>(threadIdx.x) % kAdders, line = static_cast<int>(threadIdx.x) / kAdders;
  const std::int64_t width = s.sums(), weights = s.weights();
  for (std::int64_t first = std::int64_t{blockIdx.x} * kAdders; first < width; first += std::int64_t{gridDim.x} * kAdders) {
    const std::int64_t e = first + column;
    double sum = 0;
    for (std::int64_t slice = line; e < width && slice < slices; slice += kLines)
      sum += static_cast<double>(sums[slice * width + e]);
    lines[threadIdx.x] = sum;
    __syncthreads();
    if (line == 0 && e < width) {
      for (int i = 1; i < kLines; ++i) sum += lines[i * kAdders + column];
      // Rounded before it is added, as it is where it is written.
      const auto value = static_cast<float>(sum);
      float* const to = e < weights ? dweight + e : dbias + (e - weights);
      const bool add = e < weights ? add_weight : add_bias;
      *to = add ? *to + value : value;
    }
    __syncthreads();  // before the next columns are written
  }
}

/// As many slices as fill a large GPU with blocks, on any GPU, of two stages or more. Of more places than `kMost` the f32 sums
/// would become inexact, unless the slices' sums would then take more memory than `kMostBytes`.
template <class Tile>
Division divide(const Sizes& s) {
  constexpr std::int64_t kBlocks = 264, kMost = 8192, kMostBytes = 64 << 20;
  const auto parts = [](std::int64_t count, std::int64_t each) { return (count + each - 1) / each; };
  const std::int64_t tiles_m = parts(s.K, Tile::kM), tiles_n = parts(s.taps, Tile::kN);
  const std::int64_t least = std::min(parts(s.places, kMost), std::max<std::int64_t>(1, kMostBytes / (s.sums() * 4)));
  const std::int64_t most = std::max<std::int64_t>(1, s.places / (2 * Tile::kStage));
  const std::int64_t wanted = std::max(std::min(kBlocks / (tiles_m * tiles_n), most), least);
  const std::int64_t places = parts(parts(s.places, wanted), Tile::kStage) * Tile::kStage;
  return {tiles_m, tiles_n, parts(s.places, places), places};
}

/// Elements of all tiles, those outside the gradient among them: what a tile costs.
template <class Tile>
std::int64_t tiled(const Sizes& s) {
  const Division d = divide<Tile>(s);
  return d.tiles_m * Tile::kM * d.tiles_n * Tile::kN;
}

}  // namespace

void conv2d_weight_grad(const Tensor& x, const Tensor& dy, const Conv2dOptions& options, Conv2dPlan::Accumulate accumulate,
                        Tensor& dweight, Tensor& dbias, Stream& stream) {
  const auto extent = [](std::int64_t value) { return static_cast<int>(value); };
  Sizes s{};
  s.C = extent(x.shape()[1]), s.H = extent(x.shape()[2]), s.W = extent(x.shape()[3]);
  s.K = extent(dy.shape()[1]), s.Ho = extent(dy.shape()[2]), s.Wo = extent(dy.shape()[3]);
  s.places = dy.shape()[0] * s.Ho * s.Wo;
  s.kW = options.kernel_size.width, s.taps = options.kernel_size.height * s.kW * s.C;
  s.stride_h = options.stride.height, s.stride_w = options.stride.width;
  s.padding_h = options.padding.height, s.padding_w = options.padding.width;
  s.dilation_h = options.dilation.height, s.dilation_w = options.dilation.width;
  s.bias = options.bias;

  const auto run = [&]<class Tile, class T>(Tile, T) {
    const Division division = divide<Tile>(s);
    Tensor memory = Tensor::empty({division.slices * s.sums()}, DType::f32, stream.device());
    const bool wide = s.C % 4 == 0 && s.K % 4 == 0 && are_aligned<4>(x.data<T>(), dy.data<T>());
    launch(stream, "conv2d_weight_grad", {division.blocks(), Tile::kThreads},
           wide ? slices_kernel<Tile, 4, T> : slices_kernel<Tile, 1, T>, x.data<T>(), dy.data<T>(), memory.data<float>(), s,
           division);
    launch(stream, "conv2d_weight_grad", {(s.sums() + kAdders - 1) / kAdders, kLines * kAdders}, add_slices_kernel,
           memory.data<float>(), division.slices, s, accumulate.dweight, accumulate.dbias, dweight.data<float>(),
           s.bias ? dbias.data<float>() : nullptr);
  };
  for_activation(x.dtype(), [&](auto element) {
    if (tiled<Small>(s) < tiled<Large>(s)) {
      run(Small{}, element);
    } else {
      run(Large{}, element);
    }
  });
}

}  // namespace gpucnn::kernels::cuda
