#include <gpucnn/distributed/sync_batch_norm.h>

#include <span>
#include <string_view>

#include <gpucnn/core/config.h>
#include <gpucnn/distributed/gpu_collectives.h>

namespace gpucnn {
namespace {

kernels::SumOverParts sum_over(const Distributed& distributed) {
  if (distributed.size() == 1) return {};
  return [distributed](std::span<double> sums, Stream& stream) {
    if constexpr (kBuiltWithCuda) {
      if (stream.device().kind == Device::Kind::cuda) return gpu_all_reduce(distributed, sums, stream.device());
    }
    distributed.all_reduce(sums);
  };
}

/// Looks at a module and all that is inside it.
class Converter final : public Members {
 public:
  explicit Converter(const Distributed& distributed) : distributed_(distributed) {}

  void operator()(std::string_view, Parameter&) override {}
  void operator()(std::string_view, Tensor&) override {}
  void operator()(std::string_view, Module& child) override { convert(child); }

  void convert(Module& module) {
    if (auto* const norm = dynamic_cast<BatchNorm2d*>(&module)) {
      norm->sum_statistics_by(sum_over(distributed_));
      ++converted_;
    }
    module.members(*this);
  }

  int converted() const noexcept { return converted_; }

 private:
  const Distributed& distributed_;
  int converted_ = 0;
};

}  // namespace

SyncBatchNorm::SyncBatchNorm(int num_features, const Distributed& distributed, BatchNorm2dOptions options)
    : BatchNorm2d(num_features, options), num_features_(num_features), distributed_(distributed) {
  sum_statistics_by(sum_over(distributed));
}

std::unique_ptr<Module> SyncBatchNorm::copy() const {
  return std::make_unique<SyncBatchNorm>(num_features_, distributed_, options());
}

int convert_sync_batchnorm(Module& model, const Distributed& distributed) {
  Converter converter(distributed);
  converter.convert(model);
  return converter.converted();
}

}  // namespace gpucnn
