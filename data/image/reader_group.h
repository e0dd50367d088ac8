#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// Processes that read the same folder of images: each decodes its part of the images, and gets the pixels of the others. What is
/// called here all call, in the same order. `join_readers` makes one of the ranks of a run.
class GPUCNN_API ReaderGroup {
 public:
  virtual ~ReaderGroup();

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Runs `work`, which calls nothing of the group. If it throws on one process, this throws on all.
  virtual void together(const std::function<void()>& work) const = 0;

  /// The texts of all processes, by rank.
  virtual std::vector<std::string> all_gather(const std::string& text) const = 0;

  /// Makes `bytes`, as many on all, those of the process `root`.
  virtual void broadcast(std::span<std::byte> bytes, int root) const = 0;
};

}  // namespace gpucnn
