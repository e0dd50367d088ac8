#pragma once

#include <memory>
#include <string>

#include <gpucnn/gpucnn.h>

#include "data.h"
#include "options.h"
#include "weights.h"

/// What every task of train_cifar begins with.
struct Setup {
  /// Chooses the device, loads the data and draws the weights. The processes of a group load the data together.
  explicit Setup(const Options& options, const std::shared_ptr<const gpucnn::ReaderGroup>& group = {});

  /// Loads weights. Returns a sentence about layers that start fresh, empty where there are none.
  std::string load(const Weights& weights, const Options& options);
  /// Loads those of --init, if it is given. The sentence is about classes of other names, too.
  std::string load_init(const Options& options);

  std::string why;  // this device
  gpucnn::Device device;
  gpucnn::Precision precision;
  RunData data;
  std::string title;  // the model's name
  std::unique_ptr<gpucnn::Sequential> model;
};
