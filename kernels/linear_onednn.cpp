#include <algorithm>
#include <optional>
#include <vector>

#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/linear_impl.h>
#include <gpucnn/kernels/onednn.h>
#include <gpucnn/kernels/relu_block.h>

// Linear layers on the CPU by oneDNN's matrix product, weights as they lie. y and dx are split by images, dweight by output rows,
// so that no two tasks add to one number; the splits depend on sizes only.
namespace gpucnn::kernels::cpu {
namespace {

using dnnl::memory;
using onednn::Arguments;
using onednn::matrix;
using onednn::Primitive;

/// Rows of one task: with fewer, repacking the other operand shows (measured: 77 GFLOP/s at 8 rows, 140 at 32, 164 at 64).
constexpr std::int64_t kRows = 64;

/// c = a b (+ bias), split into blocks of rows of a and c, each a task with memory objects of its own.
class Product {
 public:
  /// a: M rows of K, dense; b: K x N in any layout; c: M rows of N, dense.
  Product(std::int64_t M, std::int64_t K, std::int64_t N, const memory::desc& b, bool bias, const onednn::Engine& engine)
      : M_(M), K_(K), N_(N), block_(std::max(kRows, (M + kMostTasks - 1) / kMostTasks)), bias_(bias) {
    const onednn::OneThread one;
    for (std::int64_t first = 0; first < M; first += block_) {
      const std::int64_t rows = std::min(block_, M - first);
      if (primitives_.empty() || rows != block_) {
        const auto pd =
            onednn::matmul(matrix(rows, K, K, 1), b, bias ? matrix(1, N, N, 1) : memory::desc(), matrix(rows, N, N, 1), engine);
        primitives_.push_back(Primitive::make<dnnl::matmul>(pd));
        scratch_bytes_ = std::max(scratch_bytes_, (primitives_.back().scratch_bytes() + 63) / 64 * 64);
      }
      Arguments& arguments = tasks_.emplace_back();
      arguments.add(DNNL_ARG_SRC, matrix(rows, K, K, 1), engine);
      arguments.add(DNNL_ARG_WEIGHTS, b, engine);
      arguments.add(DNNL_ARG_DST, matrix(rows, N, N, 1), engine);
      arguments.add(DNNL_ARG_SCRATCHPAD, primitives_.back().scratch_desc(), engine);
      if (bias) arguments.add(DNNL_ARG_BIAS, matrix(1, N, N, 1), engine);
    }
  }

  void run(const float* a, const float* b, const float* bias, bool relu, float* c, const onednn::Engine& engine) {
    const auto tasks = static_cast<std::int64_t>(tasks_.size());
    const Tensor scratch = Tensor::empty({tasks * static_cast<std::int64_t>(scratch_bytes_)}, DType::u8);
    const std::byte* scratch_bytes = scratch.bytes();
    parallel_for(tasks, [&](std::int64_t task) {
      const onednn::OneThread one;
      Arguments& arguments = tasks_[static_cast<std::size_t>(task)];
      const std::int64_t first = task * block_;
      arguments.set(0, a + first * K_);
      arguments.set(1, b);
      arguments.set(2, c + first * N_);
      arguments.set(3, scratch_bytes + static_cast<std::size_t>(task) * scratch_bytes_);
      if (bias_) arguments.set(4, bias);
      arguments.run(first + block_ <= M_ ? primitives_.front() : primitives_.back(), engine);
      if (relu) relu_block(c + first * N_, std::min(block_, M_ - first) * N_);
    });
  }

 private:
  static constexpr std::int64_t kMostTasks = 64;

  std::int64_t M_, K_, N_, block_;
  bool bias_;
  std::vector<Primitive> primitives_;  // for whole blocks, then for a shorter last one
  std::vector<Arguments> tasks_;
  std::size_t scratch_bytes_ = 0;
};

class LinearOnednn final : public LinearPlan::Impl {
 public:
  LinearOnednn(std::int64_t N, std::int64_t I, std::int64_t O, bool bias) : N_(N), I_(I), O_(O), bias_(bias) {}

  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, Tensor& y, Stream&) override {
    if (!forward_) forward_.emplace(N_, I_, O_, matrix(I_, O_, 1, I_), bias_, engine_);
    forward_->run(x.data<float>(), weight.data<float>(), bias_ ? bias.data<float>() : nullptr, relu, y.data<float>(), engine_);
  }

  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream&) override {
    if (!backward_data_) backward_data_.emplace(N_, O_, I_, matrix(O_, I_, I_, 1), false, engine_);
    backward_data_->run(dy.data<float>(), weight.data<float>(), nullptr, false, dx.data<float>(), engine_);
  }

  void backward_weights(const Tensor& x, const Tensor& dy, LinearPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                        Stream&) override {
    if (!backward_weights_) backward_weights_.emplace(O_, N_, I_, matrix(N_, I_, I_, 1), false, engine_);
    Tensor columns = Tensor::empty({O_, N_});  // dy^T, so that rows of dweight are rows of a dense matrix
    transpose(dy.data<float>(), columns.data<float>());
    if (bias_) add_rows(columns.data<float>(), accumulate.dbias, dbias.data<float>());
    if (!accumulate.dweight) {
      return backward_weights_->run(columns.data<float>(), x.data<float>(), nullptr, false, dweight.data<float>(), engine_);
    }
    Tensor more = Tensor::empty(dweight.shape());
    backward_weights_->run(columns.data<float>(), x.data<float>(), nullptr, false, more.data<float>(), engine_);
    float* sum = dweight.data<float>();
    const float* addend = more.data<float>();
    for (std::int64_t i = 0; i < dweight.numel(); ++i) sum[i] += addend[i];
  }

 private:
  void transpose(const float* dy, float* columns) const {
    for (std::int64_t o = 0; o < O_; ++o) {
      for (std::int64_t n = 0; n < N_; ++n) columns[o * N_ + n] = dy[n * O_ + o];
    }
  }

  /// The sum of each row, in double: the rows are as long as the batch.
  void add_rows(const float* columns, bool accumulate, float* dbias) const {
    for (std::int64_t o = 0; o < O_; ++o) {
      double sum = accumulate ? static_cast<double>(dbias[o]) : 0.0;
      for (std::int64_t n = 0; n < N_; ++n) sum += static_cast<double>(columns[o * N_ + n]);
      dbias[o] = static_cast<float>(sum);
    }
  }

  std::int64_t N_, I_, O_;
  bool bias_;
  onednn::Engine engine_;
  std::optional<Product> forward_, backward_data_, backward_weights_;
};

}  // namespace

std::unique_ptr<LinearPlan::Impl> linear_onednn(std::int64_t N, std::int64_t I, std::int64_t O, bool bias) {
  return std::make_unique<LinearOnednn>(N, I, O, bias);
}

}  // namespace gpucnn::kernels::cpu
