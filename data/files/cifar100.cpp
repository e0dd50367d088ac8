#include <gpucnn/data/files/cifar100.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/data/files/cifar_records.h>

namespace gpucnn {

DatasetSplits load_cifar100(const std::filesystem::path& dir, std::optional<std::int64_t> limit, Cifar100Labels labels) {
  if (limit && *limit < 1) throw std::invalid_argument(formatted("load_cifar100: limit must be >= 1, got {}", *limit));
  const bool fine = labels == Cifar100Labels::fine;
  CifarFormat format{.set = "CIFAR-100",
                     .test = {"test.bin", 10'000},
                     .classes = {20, 100},
                     .label = fine ? 1U : 0U,
                     .names = fine ? "fine_label_names.txt" : "coarse_label_names.txt",
                     .folder = "cifar-100-binary",
                     .python = "cifar-100-python",
                     .archive = "cifar-100-binary.tar.gz"};
  format.train.push_back({"train.bin", 50'000});
  return load_cifar(format, dir, limit);
}

}  // namespace gpucnn
