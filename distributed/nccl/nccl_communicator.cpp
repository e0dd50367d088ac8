#include <gpucnn/distributed/nccl/nccl_communicator.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/distributed/communicator.h>
#include <gpucnn/distributed/distributed.h>
#include <gpucnn/distributed/nccl/nccl_watch.h>

namespace gpucnn {

NcclCommunicator::NcclCommunicator(Device device, const nccl::UniqueId& id, int rank, int ranks) : device_(device) {
  const auto no_capture = gpu::queue(device).between_captures();
  const gpu::StreamInUse current = gpu::queue(device).stream();  // whose GPU is the rank's
  nccl::check(nccl::functions().comm_init_rank(&handle_, ranks, id, rank), "ncclCommInitRank");
  gpu::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  gpu::check(cudaEventCreateWithFlags(&behind_queue_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  gpu::check(cudaEventCreateWithFlags(&behind_calls_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  watch_ = std::make_unique<NcclWatch>(device, handle_);
}

NcclCommunicator::~NcclCommunicator() {
  const gpu::CurrentGpu current(device_.index);
  const bool failed = watch_->has_failed();
  watch_.reset();
  if (!failed) {
    // What others wait for is done first. A rank that waits in vain is ended from outside.
    cudaStreamSynchronize(stream_);
    nccl::functions().comm_destroy(handle_);
  }
  cudaEventDestroy(behind_calls_);
  cudaEventDestroy(behind_queue_);
  cudaStreamDestroy(stream_);
}

/// The calls' stream goes on behind what is queued; in a capture it becomes a part of that.
void NcclCommunicator::fork() {
  gpu::Queue& queue = gpu::queue(device_);
  queue.throw_failure();
  queue.keep_with_capture(shared_from_this());
  gpu::check(cudaEventRecord(behind_queue_, queue.current_stream()), "cudaEventRecord");
  gpu::check(cudaStreamWaitEvent(stream_, behind_queue_, 0), "cudaStreamWaitEvent");
}

void NcclCommunicator::begin_all_reduce(void* values, std::size_t count, nccl::DataType type, nccl::Operation operation) {
  const gpu::StreamInUse current = gpu::queue(device_).stream();
  fork();
  nccl::check(nccl::functions().all_reduce(values, values, count, type, operation, handle_, stream_), "ncclAllReduce", handle_);
}

void NcclCommunicator::begin_broadcast(void* bytes, std::size_t count, int root) {
  const gpu::StreamInUse current = gpu::queue(device_).stream();
  fork();
  nccl::check(nccl::functions().broadcast(bytes, bytes, count, nccl::DataType::i8, root, handle_, stream_), "ncclBroadcast",
              handle_);
}

void NcclCommunicator::join() {
  const gpu::StreamInUse queue = gpu::queue(device_).stream();
  gpu::check(cudaEventRecord(behind_calls_, stream_), "cudaEventRecord");
  gpu::check(cudaStreamWaitEvent(queue, behind_calls_, 0), "cudaStreamWaitEvent");
}

nccl::Operation NcclCommunicator::sum_of_products(float* factor) {
  nccl::Operation made{};
  nccl::check(nccl::functions().red_op_create_premul_sum(&made, factor, nccl::DataType::f32, nccl::Residence::device, handle_),
              "ncclRedOpCreatePreMulSum", handle_);
  return made;
}

namespace {

/// Throws, on every rank, what any rank has to say against NCCL.
void require_nccl(const Distributed& distributed, Device device) {
  std::string why;
  try {
    device.require();
    nccl::functions();
  } catch (const DeviceError& error) {
    why = error.what();
  }
  const std::vector<std::string> all = distributed.all_gather(why);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (!all[rank].empty()) throw DeviceError(formatted("rank {} cannot reach the other ranks' GPUs: {}", rank, all[rank]));
  }
}

nccl::UniqueId common_id(const Distributed& distributed) {
  nccl::UniqueId id{};
  if (distributed.is_main()) nccl::check(nccl::functions().get_unique_id(&id), "ncclGetUniqueId");
  const std::string bytes = distributed.broadcast(std::string(id.bytes, sizeof(id.bytes)));
  std::memcpy(id.bytes, bytes.data(), sizeof(id.bytes));
  return id;
}

}  // namespace

std::shared_ptr<NcclCommunicator> nccl_communicator(const Distributed& distributed, Device device) {
  std::shared_ptr<NcclCommunicator>& gpu = distributed.communicator_->gpu;
  if (!gpu) {
    require_nccl(distributed, device);
    gpu = std::make_shared<NcclCommunicator>(device, common_id(distributed), distributed.rank(), distributed.size());
  }
  if (gpu->device() == device) return gpu;
  throw std::invalid_argument(
      formatted("this rank reaches the others from {}, and cannot from {} too", gpu->device().string(), device.string()));
}

}  // namespace gpucnn
