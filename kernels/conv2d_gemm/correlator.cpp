#include <gpucnn/kernels/conv2d_gemm/correlator.h>

#include <algorithm>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/activation_block.h>
#include <gpucnn/kernels/gemm/pixel_products.h>

namespace gpucnn::kernels::cpu {
namespace {

constexpr std::int64_t kMinTasks = 16;  // so that a preempted thread's share can be stolen

/// Up to so many pixels, reading the weights takes longer than multiplying by them where they are in no cache of the core.
constexpr std::int64_t kFewPixels = 64;

/// Pixels of a task: as many as make reading the weights pay, fewer if there are few. A multiple of the micro-kernel's.
std::int64_t task_pixels(const Correlation& c) {
  constexpr std::int64_t kMin = 24, kMax = 240, kUnit = 24;
  return round_up(std::clamp(c.pixels() / kMinTasks, kMin, kMax), kUnit);
}

}  // namespace

Correlator::Correlator(const Correlation& c, const WeightLayout& layout)
    : c_(c),
      layout_(layout),
      window_(c),
      tasks_(c, window_, task_pixels(c)),
      panels_(c.groups * panels_of(c.K)),
      splits_(std::min(panels_, (kMinTasks + tasks_.count() - 1) / tasks_.count())) {}

void Correlator::pack(const Tensor& weight) {
  if (!packed_.defined()) {
    packed_ = Tensor::empty({c_.groups * packed_group(c_)});
    bias_ = Tensor::zeros({panels_ * kGemmPanel});
  }
  if (seen_.are_those_of(weight)) return;
  seen_.forget();
  pack_weights(c_, layout_, weight.data<float>(), packed_.data<float>());
  seen_.note(weight);
}

void Correlator::finish(const PixelTasks::Task& task, std::int64_t first, std::int64_t last, const Epilogue& epilogue,
                        const float* made, float* y) const {
  const std::int64_t channels = c_.groups * c_.K, pixels = task.images * task.rows * c_.columns.outputs;
  const auto finish = [&](std::int64_t at, std::int64_t count) {
    if (made) return activation_backward_block(epilogue.backward, made + at, y + at, count);
    activation_block(epilogue.forward, y + at, count);
  };
  if (last - first == channels) return finish(0, pixels * channels);
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) finish(pixel * channels + first, last - first);
}

void Correlator::run(const Tensor& x, const Tensor& weight, const float* bias, const Epilogue& epilogue, Tensor& y) {
  pack(weight);
  const std::int64_t in_group = panels_of(c_.K), K = c_.K;
  if (bias) {
    for (std::int64_t group = 0; group < c_.groups; ++group) {
      std::copy_n(bias + group * K, K, bias_.data<float>() + group * in_group * kGemmPanel);
    }
  }
  const float *const inputs = x.data<float>(), *const biases = std::as_const(bias_).data<float>();
  const float* const weights = std::as_const(packed_).data<float>();
  float* const outputs = y.data<float>();
  const std::int64_t image = window_.image(c_, tasks_.rows()), scratch = window_.copied() ? tasks_.images() * image : 0;
  const int threads = num_threads();
  Tensor memory = scratch ? Tensor::empty({threads * scratch}) : Tensor{};
  float* const copies = scratch ? memory.data<float>() : nullptr;

  const bool masks = epilogue.made && epilogue.backward.kind == Activation::relu;
  parallel_for(tasks_.count() * splits_, threads, [=, this, &epilogue](std::int64_t task_number, int thread) {
    const PixelTasks::Task task = tasks_[task_number / splits_];
    const std::int64_t split = task_number % splits_, first = split * panels_ / splits_, last = (split + 1) * panels_ / splits_;
    float* const to = outputs + task.image * c_.output_image() + task.row * c_.rows.to_step * c_.width * c_.groups * K;
    for (std::int64_t panel = first; panel < last;) {
      const std::int64_t group = panel / in_group, end = std::min(last, (group + 1) * in_group);
      const float* from = inputs + task.image * c_.input_image() + group * c_.C;
      if (scratch) {
        float* const copy = copies + thread * scratch;
        for (std::int64_t n = 0; n < task.images; ++n) {
          window_.copy(c_, from + n * c_.input_image(), task.row, task.rows, copy + n * image);
        }
        from = copy;
      } else {
        from = window_.first_tap(c_, from, task.row);
      }
      multiply_pixels({.x = from,
                       .x_at = tasks_.x(),
                       .even = tasks_.even(),
                       .y = to + group * K,
                       .y_at = tasks_.y(),
                       .pixels = task.images * task.rows * c_.columns.outputs,
                       .runs = window_.runs().data(),
                       .terms = c_.terms(),
                       .weights = weights + group * packed_group(c_),
                       .bias = biases + group * in_group * kGemmPanel,
                       .first = (panel - group * in_group) * kGemmPanel,
                       .last = std::min(K, (end - group * in_group) * kGemmPanel),
                       .rectifies = epilogue.forward.kind == Activation::relu,
                       .relu_made = masks ? epilogue.made + (to - outputs) + group * K : nullptr,
                       .fetches = c_.pixels() <= kFewPixels});
      panel = end;
    }
    const Activation::Kind kind = epilogue.forward.kind;
    if (masks || (!epilogue.made && (kind == Activation::none || kind == Activation::relu))) return;
    const auto channel = [&](std::int64_t at) { return at / in_group * K + std::min(K, at % in_group * kGemmPanel); };
    finish(task, channel(first), channel(last), epilogue, epilogue.made ? epilogue.made + (to - outputs) : nullptr, to);
  });
}

}  // namespace gpucnn::kernels::cpu
