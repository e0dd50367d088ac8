#include <cuda_runtime_api.h>

#include <map>
#include <string>
#include <vector>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/host/host_name.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/distributed/gpu_collectives.h>

namespace gpucnn {
namespace {

int visible_gpus() {
  int gpus = 0;
  if (cudaGetDeviceCount(&gpus) == cudaSuccess) return gpus;
  cudaGetLastError();
  return 0;
}

/// No two GPUs have the same, also where each rank sees but one and calls it cuda:0.
std::string identity(int index) {
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) cudaGetLastError();
  return host_name() + " " + std::string(properties.uuid.bytes, sizeof(properties.uuid.bytes));
}

}  // namespace

Device own_gpu(const Distributed& distributed) {
  const int gpus = visible_gpus();
  const int index = gpus > 0 ? distributed.local_rank() % gpus : 0;
  std::string why;
  const bool usable = backend::cuda_usable(index, &why);
  const std::vector<std::string> reasons = distributed.all_gather(usable ? "" : why);
  const std::vector<std::string> counts = distributed.all_gather(
      formatted("{} GPU{} for {} ranks on one machine", gpus, gpus == 1 ? "" : "s", distributed.local_size()));
  const std::vector<std::string> identities = distributed.all_gather(identity(index));
  std::map<std::string, std::size_t> ranks;
  for (std::size_t rank = 0; rank < reasons.size(); ++rank) {
    if (!reasons[rank].empty()) throw DeviceError(formatted("rank {} cannot use a GPU: {}", rank, reasons[rank]));
    const auto [other, is_first] = ranks.emplace(identities[rank], rank);
    if (is_first) continue;
    throw DeviceError(formatted("rank {} has no GPU of its own and would share rank {}'s: there {} {}", rank, other->second,
                                gpus == 1 ? "is" : "are", counts[rank]));
  }
  return Device::cuda(index);
}

}  // namespace gpucnn
