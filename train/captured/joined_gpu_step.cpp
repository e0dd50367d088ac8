#include <gpucnn/train/captured/joined_gpu_step.h>

#include <utility>

#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/layers/module/module_tree.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

namespace gpucnn {
namespace {

Tensor zeros_of(std::size_t bytes, Device device) { return Tensor::zeros({bytes}, DType::u8, device); }

}  // namespace

JoinedGpuStep::JoinedGpuStep(Module& model, const Loss& loss, const Distributed& distributed)
    : model_(model),
      loss_(loss),
      ranks_(nccl_communicator(distributed, model.device())),
      stream_(model.device()),
      own_state_(zeros_of(sizeof(StepState), model.device())),
      own_report_(zeros_of(sizeof(gpu::StepReport), model.device())),
      sums_(zeros_of(sizeof(gpu::JoinedSums), model.device())),
      sum_of_shares_(ranks_->sum_of_products(&sums()->share)),
      buckets_(model, [this](Tensor piece) {
        ranks_->begin_all_reduce(piece.device_data<float>(), static_cast<std::size_t>(piece.numel()), nccl::DataType::f32,
                                 shared_before_ ? nccl::Operation::sum : sum_of_shares_);
      }) {}

void JoinedGpuStep::start(bool counts, std::optional<double> weight) {
  gpu::sum_step(counts ? own_report() : nullptr, loss_.is_sum(), weight, sums(), stream_);
  ranks_->begin_all_reduce(&sums()->all, gpu::kStepSums, nccl::DataType::f64, nccl::Operation::sum);
  const gpu::Beside behind_the_sums(gpu::queue(ranks_->device()), ranks_->stream());
  gpu::share_step(sums(), loss_.is_sum(), stream_);
}

bool JoinedGpuStep::shares_before() const {
  bool sums = false;
  for_tree(
      model_,
      [&sums](const Module& module) {
        const auto* const norm = dynamic_cast<const BatchNorm2d*>(&module);
        sums = sums || (norm && norm->sums_statistics());
      },
      [](const Parameter&) {});
  return sums;
}

void JoinedGpuStep::backward(Tensor gradient) {
  shared_before_ = shares_before();
  if (shared_before_) {
    ranks_->join();
    gpu::scale_by_share(gradient, sums(), stream_);
  }
  buckets_.backward(gradient);
  ranks_->join();
}

void JoinedGpuStep::report(StepState* state, gpu::StepReport* reports, std::int64_t slots) {
  gpu::report_sums(sums(), loss_.is_sum(), state, reports, slots, stream_);
}

}  // namespace gpucnn
