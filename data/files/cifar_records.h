#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gpucnn/data/dataset_splits.h>

namespace gpucnn {

/// The binary version of one of the CIFAR sets: files of records, each of some label bytes and then 1,024 bytes each of red, green
/// and blue.
struct CifarFormat {
  struct File {
    std::string name;
    std::int64_t records;
  };

  std::string set;  // "CIFAR-10"
  std::vector<File> train;
  File test;
  std::vector<int> classes;             // of each label byte
  std::size_t label;                    // the label byte that is wanted
  std::string names;                    // the file of that label's class names
  std::string folder, python, archive;  // the ways in which the set is published: unpacked, for Python, and packed
};

/// Throws as `load_cifar10` does.
DatasetSplits load_cifar(const CifarFormat& format, const std::filesystem::path& dir, std::optional<std::int64_t> limit);

}  // namespace gpucnn
