#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/metrics/twins.h>

namespace gpucnn::kernels {

namespace {

/// Where the row's largest value is, the first of equals; -1 if it has a NaN.
std::int64_t first_largest(const float* row, std::int64_t C) {
  std::int64_t best = 0;
  bool comparable = row[0] == row[0];
  for (std::int64_t c = 1; c < C; ++c) {
    comparable = comparable && row[c] == row[c];
    if (row[c] > row[best]) best = c;
  }
  return comparable ? best : -1;
}

}  // namespace

void cpu::count_correct(const Tensor& logits, const Tensor& labels, Tensor& count, Stream&) {
  const std::int64_t N = logits.dim(0), C = logits.dim(1);
  const bool probable = labels.dtype() == DType::f32;
  const float *row = logits.data<float>(), *probability = probable ? labels.data<float>() : nullptr;
  const std::int32_t* label = probable ? nullptr : labels.data<std::int32_t>();
  std::int64_t correct = 0;
  for (std::int64_t n = 0; n < N; ++n, row += C) {
    const std::int64_t expected = probable ? first_largest(probability + n * C, C) : label[n];
    const std::int64_t best = first_largest(row, C);
    correct += best >= 0 && best == expected;
  }
  *count.data<float>() = static_cast<float>(correct);
}

}  // namespace gpucnn::kernels
