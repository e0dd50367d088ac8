#pragma once

#include "reference/values.h"

namespace gpucnn::reference {

/// y[n, o] = bias[o] + the sum over i of weight[o, i] * x[n, i]. x: [N, in], weight: [out, in], bias: [out] or empty, y: [N, out].
inline Values linear(std::size_t N, std::size_t in, std::size_t out, const Values& x, const Values& weight, const Values& bias) {
  Values y(N * out);
  for (std::size_t n = 0; n < N; ++n) {
    for (std::size_t o = 0; o < out; ++o) {
      double sum = bias.empty() ? 0.0 : bias[o];
      for (std::size_t i = 0; i < in; ++i) sum += weight[o * in + i] * x[n * in + i];
      y[n * out + o] = sum;
    }
  }
  return y;
}

struct LinearGradients {
  Values dx, dweight, dbias;
};

inline LinearGradients linear_backward(std::size_t N, std::size_t in, std::size_t out, const Values& x, const Values& weight,
                                       const Values& dy) {
  LinearGradients gradients{Values(N * in), Values(out * in), Values(out)};
  for (std::size_t n = 0; n < N; ++n) {
    for (std::size_t o = 0; o < out; ++o) {
      const double d = dy[n * out + o];
      gradients.dbias[o] += d;
      for (std::size_t i = 0; i < in; ++i) {
        gradients.dx[n * in + i] += weight[o * in + i] * d;
        gradients.dweight[o * in + i] += x[n * in + i] * d;
      }
    }
  }
  return gradients;
}

}  // namespace gpucnn::reference
