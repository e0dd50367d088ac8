#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include <gpucnn/gpucnn.h>

#include "options.h"

/// What is computed with. Throws `DeviceError` where the device cannot.
gpucnn::Precision choose_precision(const Options& options, gpucnn::Device device, const std::string& why);

/// What a run learns from, and is judged by.
struct RunData : gpucnn::OpenedDataset {
  std::shared_ptr<const gpucnn::Dataset> validation;  // held out of `train`; null: epochs are judged by `test`

  /// What epochs are judged by.
  const std::shared_ptr<const gpucnn::Dataset>& judged() const { return validation ? validation : test; }
  const char* judged_name() const { return validation ? "validation" : "test"; }
};

/// The images of a folder, or drawn shapes. Those that lie in memory lie on a GPU as bytes, and no batch crosses the bus. The
/// processes of a group, which load alike, share the work.
RunData load_data(const Options& options, gpucnn::Device device, const std::shared_ptr<const gpucnn::ReaderGroup>& group);

/// Throws a `UsageError` for an option that is not for this kind of folder, or for images of several sizes.
[[noreturn]] void throw_usage(const std::invalid_argument& error);

gpucnn::DataLoaderOptions train_options(const Options& options, const RunData& data, gpucnn::Device device);
/// Of the images that are judged.
gpucnn::DataLoaderOptions test_options(const Options& options, const RunData& data, gpucnn::Device device);
