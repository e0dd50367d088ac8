#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/gpu/nvtx_range.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/conv/bias_grad.h>
#include <gpucnn/kernels/conv/conv2d_cudnn_graph.h>
#include <gpucnn/kernels/conv/conv2d_fallback.h>
#include <gpucnn/kernels/conv/conv2d_impl.h>
#include <gpucnn/kernels/conv/conv2d_implicit_gemm.h>
#include <gpucnn/kernels/conv/conv2d_weight_grad.h>
#include <gpucnn/kernels/copy/cast.h>

// Convolution on a GPU: by our own implicit GEMMs where they are faster, else by cuDNN. Our fallback computes a pass for which
// cuDNN has no deterministic engine. Any number of channels goes to cuDNN as it is: engines that want multiples of 4 pad in their
// workspace.
namespace gpucnn::kernels {
namespace cuda {
namespace {

using cudnn::Pass;

/// The memory of a pass's tensors in the order of cudnn::Uid; null for one that it does not have.
using Pointers = std::array<std::byte*, 4>;

std::byte* address(const Tensor& tensor) { return const_cast<std::byte*>(tensor.bytes()); }

bool is_aligned(const Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.bytes()) % static_cast<std::uintptr_t>(cudnn::kAlignment) == 0;
}

/// What a pass reads: the tensor, or a copy of one that begins between two alignments, as some of the images of a larger one may.
Tensor aligned(const Tensor& tensor) { return is_aligned(tensor) ? tensor : tensor.clone(); }

/// What a pass writes: the tensor if cuDNN can write to it, or one that `finish` brings there.
Tensor output(const Tensor& tensor, DType dtype) {
  return is_aligned(tensor) && tensor.dtype() == dtype ? tensor : Tensor::empty(tensor.shape(), dtype, tensor.device());
}

void finish(const Tensor& written, Tensor& tensor, Stream& stream) {
  if (written.bytes() == tensor.bytes()) return;
  if (written.dtype() != tensor.dtype()) return cast(written, tensor, stream);
  tensor.copy_from(written);
}

/// One pass as cuDNN runs it.
class Execution {
 public:
  Execution(cudnn::ExecutionPlan plan, Device device)
      : plan_(std::make_shared<const cudnn::Descriptor>(std::move(plan.plan))),
        workspace_bytes_(plan.workspace_bytes),
        device_(device) {}

  void run(const Pointers& pointers) {
    const Tensor workspace = Tensor::empty({workspace_bytes_}, DType::u8, device_);
    std::byte* scratch = workspace_bytes_ ? address(workspace) : nullptr;
    if (!pack_ || pointers != pointers_ || scratch != scratch_) set_pointers(pointers, scratch);
    const gpu::Range range("conv2d");
    cudnn::execute(device_, plan_, *pack_);
    gpu::queue(device_).after_launch("conv2d");
  }

 private:
  /// A step's memory is planned, so the same pointers come again and again.
  void set_pointers(const Pointers& pointers, std::byte* scratch) {
    std::vector<std::int64_t> uids;
    std::vector<void*> data;
    for (std::size_t i = 0; i < pointers.size(); ++i) {
      if (!pointers[i]) continue;
      uids.push_back(cudnn::kX + static_cast<std::int64_t>(i));
      data.push_back(pointers[i]);
    }
    cudnn::Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const std::int64_t>(uids));
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<void* const>(data));
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, static_cast<void*>(scratch));
    pack.finalize();
    pack_ = std::move(pack);
    pointers_ = pointers;
    scratch_ = scratch;
  }

  std::shared_ptr<const cudnn::Descriptor> plan_;
  std::int64_t workspace_bytes_;
  Device device_;
  std::optional<cudnn::Descriptor> pack_;
  Pointers pointers_{};
  std::byte* scratch_ = nullptr;
};

/// Our own convolution, which computes in f32, for tensors of bf16.
class Widened final : public Conv2dPlan::Impl {
 public:
  explicit Widened(std::unique_ptr<Conv2dPlan::Impl> f32) : f32_(std::move(f32)) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    Tensor wide = like(y);
    f32_->forward(widen(x, stream), widen(weight, stream), widen(bias, stream), epilogue, wide, stream);
    cast(wide, y, stream);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    Tensor wide = like(dx);
    f32_->backward_data(widen(dy, stream), widen(weight, stream), wide, stream);
    cast(wide, dx, stream);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    f32_->backward_weights(widen(x, stream), widen(dy, stream), accumulate, dweight, dbias, stream);
  }

 private:
  static Tensor like(const Tensor& tensor) { return Tensor::empty(tensor.shape(), DType::f32, tensor.device()); }

  static Tensor widen(const Tensor& tensor, Stream& stream) {
    if (!tensor.defined()) return {};
    Tensor wide = like(tensor);
    cast(tensor, wide, stream);
    return wide;
  }

  std::unique_ptr<Conv2dPlan::Impl> f32_;
};

class Conv2dCudnn final : public Conv2dPlan::Impl {
 public:
  Conv2dCudnn(const Shape& x, const Shape& y, const Conv2dOptions& options, Device device, Precision precision)
      : convolution_{x, conv2d_weight_shape(x[1], y[1], options), y, options}, device_(device), precision_(precision) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    if (prefers_own_kernel(Pass::forward)) return conv2d_implicit_gemm(x, weight, bias, convolution_.options, epilogue, y, stream);
    Execution* cudnn = execution(Pass::forward);
    if (!cudnn) return fallback().forward(x, weight, bias, epilogue, y, stream);
    const Tensor from = aligned(x), weights = aligned(weight), biases = aligned(bias), to = output(y, y.dtype());
    cudnn->run({address(from), address(weights), address(biases), address(to)});
    finish(to, y, stream);
    // Not part of cuDNN's graph: the only engine that promises to keep NaN (CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP) is its slowest.
    if (epilogue.kind != Activation::none) kernels::activation(y, epilogue, y, stream);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) override {
    if (prefers_own_kernel(Pass::backward_data)) {
      return conv2d_implicit_gemm_backward_data(dy, weight, convolution_.options, dx, stream);
    }
    Execution* cudnn = execution(Pass::backward_data);
    if (!cudnn) return fallback().backward_data(dy, weight, dx, stream);
    const Tensor from = aligned(dy), weights = aligned(weight), to = output(dx, dx.dtype());
    cudnn->run({address(to), address(weights), nullptr, address(from)});
    finish(to, dx, stream);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    if (prefers_own_kernel(Pass::backward_weights))
      return conv2d_weight_grad(x, dy, convolution_.options, accumulate, dweight, dbias, stream);
    Execution* cudnn = execution(Pass::backward_weights);
    if (!cudnn) return fallback().backward_weights(x, dy, accumulate, dweight, dbias, stream);
    const Tensor from = aligned(x), gradients = aligned(dy);
    Tensor sum = accumulate.dweight ? Tensor::empty(dweight.shape(), DType::f32, device_) : dweight;
    const Tensor to = output(sum, activation_dtype(precision_, device_));
    cudnn->run({address(from), address(to), nullptr, address(gradients)});
    finish(to, sum, stream);
    if (accumulate.dweight) backend::add(device_, dweight.device_data<float>(), sum.device_data<float>(), dweight.numel());
    if (convolution_.options.bias) bias_grad(dy, accumulate.dbias, dbias, stream);
  }

 private:
  /// Whether our own kernels are faster than what cuDNN would take, as seen on an H100 (docs/gpu.md): its deterministic engines
  /// for true fp32 transpose tensors or, for the weight gradient, are slow. Few channels leave tensor cores idle.
  bool prefers_own_kernel(Pass pass) const {
    constexpr std::int64_t kMaxPairs = 1024, kMaxChannels = 4;  // pairs of an input and an output channel
    const auto& [x, weight, y, options] = convolution_;
    if (options.groups != 1 || !conv2d_counts_in_int(x, weight, y, options)) return false;
    const bool few_pairs = x[1] * y[1] <= kMaxPairs, fp32 = precision_ == Precision::fp32;
    switch (pass) {
      case Pass::forward: return few_pairs && (fp32 || x[1] <= kMaxChannels);
      case Pass::backward_data: return few_pairs && fp32 && options.stride == 1;
      case Pass::backward_weights: return few_pairs || fp32;
    }
    return false;
  }

  /// Null where cuDNN has no engine for the pass. A plan takes milliseconds, so each is made when its pass is first run.
  Execution* execution(Pass pass) {
    Choice& choice = choices_[static_cast<std::size_t>(pass)];
    if (!choice.made) {
      const cudnn::Handle handle(device_);
      if (auto plan = cudnn::execution_plan(pass, convolution_, precision_, {.handle = &handle})) {
        choice.execution.emplace(*std::move(plan), device_);
      }
      choice.made = true;
    }
    return choice.execution ? &*choice.execution : nullptr;
  }

  Conv2dPlan::Impl& fallback() {
    if (!fallback_) {
      fallback_ = conv2d_fallback(convolution_.x, convolution_.y, convolution_.options);
      if (activation_dtype(precision_, device_) != DType::f32) fallback_ = std::make_unique<Widened>(std::move(fallback_));
    }
    return *fallback_;
  }

  struct Choice {
    bool made = false;
    std::optional<Execution> execution;
  };

  cudnn::Convolution convolution_;
  Device device_;
  Precision precision_;
  std::array<Choice, 3> choices_;
  std::unique_ptr<Conv2dPlan::Impl> fallback_;
};

}  // namespace
}  // namespace cuda

std::unique_ptr<Conv2dPlan::Impl> cuda::conv2d_cudnn(const Shape& x, const Shape& y, const Conv2dOptions& options, Device device,
                                                     Precision precision) {
  return std::make_unique<Conv2dCudnn>(x, y, options, device, precision);
}

}  // namespace gpucnn::kernels
