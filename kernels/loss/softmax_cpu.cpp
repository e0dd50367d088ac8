#include <algorithm>
#include <cmath>
#include <limits>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/loss/softmax_row.h>
#include <gpucnn/kernels/loss/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/loss/softmax_cpu.cpp"
#include <hwy/foreach_target.h>

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// e[c] = exp(x[c] - largest), unless e is null; returns their sum. In double: the rounding of x - largest in f32 would show in
/// the exponential.
double exp_row(const float* x, double largest, float* e, std::size_t C) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  const std::size_t lanes = hn::Lanes(d);
  // Below -700 the exponential counts as 0, since the sum is at least 1. Exp would overflow far below, and finite numbers must
  // raise no floating-point exception.
  const auto top = hn::Set(d, largest), threshold = hn::Set(d, -700.0);
  auto sum = hn::Zero(d);
  const auto add_exp = [&](const float* from, float* to) HWY_ATTR {
    const auto below = hn::Sub(hn::PromoteTo(d, hn::LoadU(narrow, from)), top);
    const auto value = hn::IfThenElseZero(hn::Gt(below, threshold), hn::Exp(d, hn::Max(below, threshold)));
    sum = hn::Add(sum, value);
    if (to) hn::StoreU(hn::DemoteTo(narrow, value), narrow, to);
  };
  std::size_t c = 0;
  for (; c + lanes <= C; c += lanes) add_exp(x + c, e ? e + c : nullptr);
  if (c < C) {
    // The tail, padded with -infinity, which adds 0.
    HWY_ALIGN float rest[hn::MaxLanes(d)];
    std::fill_n(std::copy(x + c, x + C, rest), lanes - (C - c), -std::numeric_limits<float>::infinity());
    add_exp(rest, rest);
    if (e) std::copy(rest, rest + (C - c), e + c);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

/// dx = y (dy - the sum of y * dy), in double as the forward.
void backward_row(const float* y, const float* dy, float* dx, std::size_t C) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  const std::size_t lanes = hn::Lanes(d), whole = C - C % lanes;
  const auto wide = [&](const float* from) HWY_ATTR { return hn::PromoteTo(d, hn::LoadU(narrow, from)); };
  auto sums = hn::Zero(d);
  for (std::size_t c = 0; c < whole; c += lanes) sums = hn::MulAdd(wide(y + c), wide(dy + c), sums);
  double sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (std::size_t c = whole; c < C; ++c) sum += static_cast<double>(y[c]) * static_cast<double>(dy[c]);
  for (std::size_t c = 0; c < whole; c += lanes) {
    const auto value = hn::Mul(wide(y + c), hn::Sub(wide(dy + c), hn::Set(d, sum)));
    hn::StoreU(hn::DemoteTo(narrow, value), narrow, dx + c);
  }
  for (std::size_t c = whole; c < C; ++c) {
    dx[c] = static_cast<float>(static_cast<double>(y[c]) * (static_cast<double>(dy[c]) - sum));
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(exp_row);
HWY_EXPORT(backward_row);

namespace {

constexpr std::int64_t kGrain = 8 * 1024;  // elements a task

/// Calls `body(first)` for the rows of x, spread over threads; a row begins at element `first`. Images are channels-last, so that
/// the channels of a pixel are a row as well.
template <class Body>
void for_rows(const Tensor& x, const Body& body) {
  const std::int64_t C = x.dim(1);
  parallel_ranges(x.numel() / C, std::max<std::int64_t>(1, kGrain / C), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t n = first; n < last; ++n) body(n * C);
  });
}

}  // namespace

cpu::RowSum cpu::softmax_row(const float* x, float* e, std::int64_t C) {
  float largest = -std::numeric_limits<float>::infinity();
  for (std::int64_t c = 0; c < C; ++c) {
    if (x[c] > largest || std::isnan(x[c])) largest = x[c];
  }
  const double sum = HWY_DYNAMIC_DISPATCH(exp_row)(x, static_cast<double>(largest), e, static_cast<std::size_t>(C));
  return {static_cast<double>(largest), std::isfinite(largest) ? sum : std::numeric_limits<double>::quiet_NaN()};
}

void cpu::softmax(const Tensor& x, Tensor& y, Stream&) {
  const std::int64_t C = x.dim(1);
  const float* from = x.data<float>();
  float* to = y.data<float>();
  for_rows(x, [=](std::int64_t first) {
    float* row = to + first;
    const auto scale = static_cast<float>(1 / softmax_row(from + first, row, C).sum);
    for (std::int64_t c = 0; c < C; ++c) row[c] *= scale;
  });
}

void cpu::softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx, Stream&) {
  const std::int64_t C = y.dim(1);
  const float *values = y.data<float>(), *from = dy.data<float>();
  float* to = dx.data<float>();
  for_rows(y, [=](std::int64_t first) {
    HWY_DYNAMIC_DISPATCH(backward_row)(values + first, from + first, to + first, static_cast<std::size_t>(C));
  });
}

}  // namespace gpucnn::kernels
#endif
