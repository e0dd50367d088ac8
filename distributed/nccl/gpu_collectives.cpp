#include <gpucnn/distributed/gpu_collectives.h>

#include <memory>
#include <utility>

#include <gpucnn/distributed/nccl/nccl_communicator.h>

namespace gpucnn {
namespace {

class GpuRequest final : public Communicator::Request {
 public:
  explicit GpuRequest(std::shared_ptr<NcclCommunicator> ranks) : ranks_(std::move(ranks)) {}
  void wait() override { ranks_->join(); }

 private:
  std::shared_ptr<NcclCommunicator> ranks_;
};

nccl::DataType type_of(Communicator::Number number) {
  switch (number) {
    case Communicator::Number::f32: return nccl::DataType::f32;
    case Communicator::Number::f64: return nccl::DataType::f64;
    case Communicator::Number::i32: return nccl::DataType::i32;
    case Communicator::Number::i64: return nccl::DataType::i64;
    case Communicator::Number::byte: break;
  }
  return nccl::DataType::i8;
}

nccl::Operation operation_of(Reduce reduction) {
  switch (reduction) {
    case Reduce::max: return nccl::Operation::max;
    case Reduce::min: return nccl::Operation::min;
    case Reduce::sum: break;
  }
  return nccl::Operation::sum;
}

}  // namespace

Communicator::RequestPtr begin_gpu_all_reduce(const Distributed& distributed, Tensor& values, Communicator::Number number,
                                              Reduce reduction) {
  std::shared_ptr<NcclCommunicator> ranks = nccl_communicator(distributed, values.device());
  ranks->begin_all_reduce(values.bytes(), static_cast<std::size_t>(values.numel()), type_of(number), operation_of(reduction));
  return std::make_shared<GpuRequest>(std::move(ranks));
}

void gpu_all_reduce(const Distributed& distributed, std::span<double> values, Device device) {
  const std::shared_ptr<NcclCommunicator> ranks = nccl_communicator(distributed, device);
  ranks->begin_all_reduce(values.data(), values.size(), nccl::DataType::f64, nccl::Operation::sum);
  ranks->join();
}

Communicator::RequestPtr begin_gpu_broadcast(const Distributed& distributed, Tensor& values, int root) {
  std::shared_ptr<NcclCommunicator> ranks = nccl_communicator(distributed, values.device());
  ranks->begin_broadcast(values.bytes(), values.nbytes(), root);
  return std::make_shared<GpuRequest>(std::move(ranks));
}

}  // namespace gpucnn
