#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/metrics/twins.h>

namespace gpucnn::kernels {

void cpu::count_correct(const Tensor& logits, const Tensor& labels, Tensor& count, Stream&) {
  const std::int64_t N = logits.dim(0), C = logits.dim(1);
  const float* row = logits.data<float>();
  const std::int32_t* label = labels.data<std::int32_t>();
  std::int64_t correct = 0;
  for (std::int64_t n = 0; n < N; ++n, row += C) {
    std::int64_t best = 0;
    bool comparable = row[0] == row[0];
    for (std::int64_t c = 1; c < C; ++c) {
      comparable = comparable && row[c] == row[c];
      if (row[c] > row[best]) best = c;
    }
    correct += comparable && best == label[n];
  }
  *count.data<float>() = static_cast<float>(correct);
}

}  // namespace gpucnn::kernels
