#include <gpucnn/kernels/channels.h>

#include <gpucnn/core/launch.h>
#include <gpucnn/kernels/quad.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 256;

/// to [rows, outputs] = the same rows of from [rows, inputs], with zeros behind them where they are shorter.
__global__ void channels_kernel(const float* from, std::int64_t inputs, bool accumulate, float* to, std::int64_t outputs,
                                std::int64_t count) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads * kQuad;
  for (std::int64_t o = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kQuad; o < count; o += stride) {
    std::int64_t row = o / outputs, c = o % outputs;
    float values[kQuad];
    for (int e = 0; e < kQuad; ++e) {
      const bool there = o + e < count;
      values[e] = there && c < inputs ? from[row * inputs + c] : 0.0F;
      if (there && accumulate) values[e] += to[o + e];
      if (++c < outputs) continue;
      c = 0;
      ++row;
    }
    store_quad(values, count - o, to + o);
  }
}

std::int64_t channels_of(const Tensor& x) { return x.dim(x.rank() == 4 ? 1 : x.rank() - 1); }

void queue_copy(const char* name, const Tensor& from, bool accumulate, Tensor& to, Stream& stream) {
  const std::int64_t quads = (to.numel() + kQuad - 1) / kQuad;
  launch(stream, name, {(quads + kThreads - 1) / kThreads, kThreads}, channels_kernel, from.data<float>(), channels_of(from),
         accumulate, to.data<float>(), channels_of(to), to.numel());
}

}  // namespace

void pad_channels(const Tensor& x, Tensor& padded, Stream& stream) { queue_copy("pad_channels", x, false, padded, stream); }

void unpad_channels(const Tensor& padded, bool accumulate, Tensor& x, Stream& stream) {
  queue_copy("unpad_channels", padded, accumulate, x, stream);
}

}  // namespace gpucnn::kernels::cuda
