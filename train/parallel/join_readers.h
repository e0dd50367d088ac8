#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/image/reader_group.h>
#include <gpucnn/distributed/distributed.h>

namespace gpucnn {

/// The ranks of a run as those that read a folder of images together.
class GPUCNN_API RankReaders : public ReaderGroup {
 public:
  explicit RankReaders(const Distributed& distributed);

  int rank() const override { return distributed_.rank(); }
  int size() const override { return distributed_.size(); }

  /// The others wait for as long as it takes. A rank on which `work` throws throws that; the others an `Error`, which names the
  /// first such rank and repeats what it says.
  void together(const std::function<void()>& work) const override;
  std::vector<std::string> all_gather(const std::string& text) const override { return distributed_.all_gather(text); }
  void broadcast(std::span<std::byte> bytes, int root) const override { distributed_.broadcast(bytes, root); }

 protected:
  const Distributed& distributed() const noexcept { return distributed_; }

 private:
  Distributed distributed_;
};

/// What `open_dataset` and ImageFolder are told, so that each rank decodes its part of the images alone: empty in a run of one.
///
///   open_dataset("photos", {.image_size = 64, .group = join_readers(world)})
GPUCNN_API std::shared_ptr<const ReaderGroup> join_readers(const Distributed& distributed);

}  // namespace gpucnn
