#include <gpucnn/data/files/cifar10.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/data/files/cifar_records.h>

namespace gpucnn {

DatasetSplits load_cifar10(const std::filesystem::path& dir, std::optional<std::int64_t> limit) {
  if (limit && *limit < 1) throw std::invalid_argument(formatted("load_cifar10: limit must be >= 1, got {}", *limit));
  CifarFormat format{.set = "CIFAR-10",
                     .test = {"test_batch.bin", 10'000},
                     .classes = {10},
                     .label = 0,
                     .names = "batches.meta.txt",
                     .folder = "cifar-10-batches-bin",
                     .python = "cifar-10-batches-py",
                     .archive = "cifar-10-binary.tar.gz"};
  for (int i = 1; i <= 5; ++i) format.train.push_back({formatted("data_batch_{}.bin", i), 10'000});
  return load_cifar(format, dir, limit);
}

}  // namespace gpucnn
