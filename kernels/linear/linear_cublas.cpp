#include <array>
#include <cstdint>
#include <optional>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/nvtx_range.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/conv/bias_grad.h>
#include <gpucnn/kernels/conv/conv2d_implicit_gemm.h>
#include <gpucnn/kernels/conv/conv2d_weight_grad.h>
#include <gpucnn/kernels/linear/linear_impl.h>
#include <gpucnn/kernels/vendor/cublaslt.h>

// Linear layers on a GPU by cuBLASLt.
//
// The library thinks in columns, tensors lie in rows: a row-major [R, C] is its column-major [C, R]. So instead of c = a b it
// computes c^T = b^T a^T, on the same memory: b is its first matrix and a its second, each transposed where it is here. A bias
// for each column of c is one for each row of its result: just what its bias epilogue adds.
namespace gpucnn::kernels {
namespace cuda {
namespace {

/// fp32 means fp32: only the pedantic type promises standard arithmetic. The default one may use any hardware with results "of at
/// least the same precision", which leaves the door open to emulation in bf16.
cublasComputeType_t compute_type(Precision precision) {
  switch (precision) {
    case Precision::fp32: return CUBLAS_COMPUTE_32F_PEDANTIC;
    case Precision::tf32: return CUBLAS_COMPUTE_32F_FAST_TF32;
    case Precision::bf16: break;
  }
  return CUBLAS_COMPUTE_32F;  // products of two bf16 are exact in f32
}

cudaDataType_t type_of(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

constexpr std::uint64_t kMaxWorkspaceBytes = std::uint64_t{32} << 20;

/// A matrix in memory, row-major and dense, and whether its transpose is the factor.
struct Factor {
  std::int64_t rows, columns;
  bool transposed = false;
};

/// c = a b, plus a bias for each column if there is one. a, b and the bias are of the precision's dtype, c of `result`.
class Product {
 public:
  Product(const Factor& a, const Factor& b, bool bias, DType result, Device device, Precision precision)
      : device_(device),
        handle_(cublaslt::handle(device)),
        dtype_(activation_dtype(precision, device)),
        bias_(bias),
        M_(a.transposed ? a.columns : a.rows),
        N_(b.transposed ? b.rows : b.columns),
        K_(a.transposed ? a.rows : a.columns),
        transa_(b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N),
        transb_(a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N),
        first_(cublaslt::matrix_layout(type_of(dtype_), b.columns, b.rows)),
        second_(cublaslt::matrix_layout(type_of(dtype_), a.columns, a.rows)),
        result_(cublaslt::matrix_layout(type_of(result), N_, M_)) {
    describe(compute_type(precision));
  }

  /// c = a b + bias, or c += a b. `bias` is undefined without one.
  void run(const Tensor& a, const Tensor& b, const Tensor& bias, bool accumulate, Tensor& c) {
    const gpu::Queue& queue = gpu::queue(device_);
    const gpu::StreamInUse stream = queue.stream();
    const Algorithm& algorithm = choose(aligned(a) && aligned(b) && aligned(c) && (!bias_ || aligned(bias)));
    if (bias_) cublaslt::set(desc_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias.bytes()));
    Tensor workspace;
    if (algorithm.workspace) {
      workspace = Tensor::empty({static_cast<std::int64_t>(algorithm.workspace)}, DType::u8, device_);
    }
    const float alpha = 1, beta = accumulate ? 1 : 0;
    const gpu::Range range("linear");
    cublaslt::check(cublaslt::functions().matmul(handle_, desc_.get(), &alpha, b.bytes(), first_.get(), a.bytes(), second_.get(),
                                                 &beta, c.bytes(), result_.get(), c.bytes(), result_.get(), &algorithm.algo,
                                                 workspace.bytes(), algorithm.workspace, stream),
                    "cublasLtMatmul");
    queue.after_launch("cublasLtMatmul");
  }

 private:
  struct Algorithm {
    cublasLtMatmulAlgo_t algo;
    std::size_t workspace;  // bytes
  };

  void describe(cublasComputeType_t compute) {
    compute_ = compute;
    desc_ = cublaslt::matmul_desc(compute, CUDA_R_32F);
    algorithms_ = {};
    cublaslt::set(desc_, CUBLASLT_MATMUL_DESC_TRANSA, transa_);
    cublaslt::set(desc_, CUBLASLT_MATMUL_DESC_TRANSB, transb_);
    cublaslt::set(desc_, CUBLASLT_MATMUL_DESC_EPILOGUE, bias_ ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT);
  }

  /// As wide as any access of a GPU. A view may begin at any element.
  static constexpr std::uint32_t kAlignment = 16;
  static bool aligned(const Tensor& tensor) { return reinterpret_cast<std::uintptr_t>(tensor.bytes()) % kAlignment == 0; }

  const Algorithm& choose(bool aligned) {
    const std::size_t which = aligned ? 1 : 0;
    if (!algorithms_[which]) {
      const Algorithm found = heuristic(aligned ? kAlignment : static_cast<std::uint32_t>(size_of(dtype_)));
      algorithms_[which] = found;
    }
    return *algorithms_[which];
  }

  Algorithm heuristic(std::uint32_t alignment) {
    std::optional<Algorithm> found = first_algorithm(alignment);
    if (!found && compute_ == CUBLAS_COMPUTE_32F_PEDANTIC) {
      // The library need not have the pedantic type with a bias for every GPU. The default one has it, and uses TF32 for none.
      describe(CUBLAS_COMPUTE_32F);
      found = first_algorithm(alignment);
    }
    if (found) return *found;
    throw DeviceError(formatted("cuBLASLt has no algorithm for the {} product of [{}, {}] and [{}, {}] on {}", name_of(dtype_), M_,
                                K_, K_, N_, device_.string()));
  }

  /// The library's first choice among those that give the same bits every time: no reduction through counters.
  std::optional<Algorithm> first_algorithm(std::uint32_t alignment) const {
    const cublaslt::MatmulPreference preference = cublaslt::matmul_preference();
    cublaslt::set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMaxWorkspaceBytes);
    cublaslt::set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                  std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    for (const auto matrix : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      cublaslt::set(preference, matrix, alignment);
    }
    // The bias' alignment is taken from its address, which is not followed here: this one is aligned as the others and no better.
    if (bias_) cublaslt::set(desc_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, reinterpret_cast<const void*>(std::uintptr_t{alignment}));
    std::array<cublasLtMatmulHeuristicResult_t, 4> found{};
    int count = 0;
    const cublasStatus_t status = cublaslt::functions().matmul_algo_get_heuristic(
        handle_, desc_.get(), first_.get(), second_.get(), result_.get(), result_.get(), preference.get(),
        static_cast<int>(found.size()), found.data(), &count);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) cublaslt::check(status, "cublasLtMatmulAlgoGetHeuristic");
    for (int i = 0; i < count && status == CUBLAS_STATUS_SUCCESS; ++i) {
      const cublasLtMatmulHeuristicResult_t& result = found[static_cast<std::size_t>(i)];
      if (result.state == CUBLAS_STATUS_SUCCESS) return Algorithm{result.algo, result.workspaceSize};
    }
    return std::nullopt;
  }

  Device device_;
  cublasLtHandle_t handle_;
  DType dtype_;
  bool bias_;
  std::int64_t M_, N_, K_;
  cublasOperation_t transa_, transb_;
  cublasComputeType_t compute_{};
  cublaslt::MatmulDesc desc_;
  cublaslt::MatrixLayout first_, second_, result_;
  std::array<std::optional<Algorithm>, 2> algorithms_;
};

/// Up to so many weights the gradient is computed as a convolution's, of images of one pixel. cuBLASLt splits products as small as
/// a last layer's along K, into hundreds of slices. Their sum takes 55 us (10 x 128 of 128 rows in fp32 on an H100).
constexpr std::int64_t kMaxConvWeights = 1 << 14;

class LinearCublas final : public LinearPlan::Impl {
 public:
  LinearCublas(std::int64_t N, std::int64_t I, std::int64_t O, bool bias, Device device, Precision precision)
      : N_(N), I_(I), O_(O), bias_(bias), device_(device), precision_(precision) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
               Stream& stream) override {
    if (!forward_) forward_.emplace(Factor{N_, I_}, Factor{O_, I_, true}, bias_, y.dtype(), device_, precision_);
    forward_->run(x, weight, bias, false, y);
    // The library's own ReLU is documented as max(x, 0), which says nothing of NaN. Ours keeps it.
    if (epilogue.kind != Activation::none) kernels::activation(y, epilogue, y, stream);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    if (!backward_data_) backward_data_.emplace(Factor{N_, O_}, Factor{O_, I_}, false, dx.dtype(), device_, precision_);
    backward_data_->run(dy, weight, {}, false, dx);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, LinearPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream& stream) override {
    const Shape x_shape{N_, I_, 1, 1}, weight_shape{O_, I_, 1, 1}, y_shape{N_, O_, 1, 1};
    const Conv2dOptions options{.kernel_size = 1, .bias = bias_};
    if (weight_shape.numel() <= kMaxConvWeights && conv2d_counts_in_int(x_shape, weight_shape, y_shape, options)) {
      Tensor weight = dweight.view(0, weight_shape);
      conv2d_weight_grad(x.view(0, x_shape), dy.view(0, y_shape), options,
                         {.dweight = accumulate.dweight, .dbias = accumulate.dbias}, weight, dbias, stream);
      return;
    }
    if (!backward_weights_) {
      backward_weights_.emplace(Factor{N_, O_, true}, Factor{N_, I_}, false, DType::f32, device_, precision_);
    }
    backward_weights_->run(dy, x, {}, accumulate.dweight, dweight);
    // Not by the library's bias gradient epilogue: that neither adds to what is there nor says for which GPUs it works in fp32.
    if (bias_) bias_grad(dy, accumulate.dbias, dbias, stream);
  }

 private:
  std::int64_t N_, I_, O_;
  bool bias_;
  Device device_;
  Precision precision_;
  std::optional<Product> forward_, backward_data_, backward_weights_;
};

}  // namespace
}  // namespace cuda

std::unique_ptr<LinearPlan::Impl> cuda::linear_cublas(std::int64_t N, std::int64_t I, std::int64_t O, bool bias, Device device,
                                                      Precision precision) {
  return std::make_unique<LinearCublas>(N, I, O, bias, device, precision);
}

}  // namespace gpucnn::kernels
