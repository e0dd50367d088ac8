#pragma once

#include <memory>
#include <string>

#include <gpucnn/gpucnn.h>

#include "options.h"

/// What is computed with. Throws `DeviceError` where the device cannot.
gpucnn::Precision choose_precision(const Options& options, gpucnn::Device device, const std::string& why);

/// The images of a run: those of a folder, or drawn shapes.
gpucnn::OpenedDataset load_data(const Options& options);

/// Images that lie in memory lie on a GPU as bytes, and no batch crosses the bus.
std::shared_ptr<const gpucnn::Dataset> on_device(const std::shared_ptr<const gpucnn::Dataset>& dataset, gpucnn::Device device);

gpucnn::DataLoaderOptions train_options(const Options& options, const gpucnn::OpenedDataset& data, gpucnn::Device device);
gpucnn::DataLoaderOptions test_options(const Options& options, const gpucnn::OpenedDataset& data, gpucnn::Device device);
