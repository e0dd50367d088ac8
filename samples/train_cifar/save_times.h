#pragma once

#include <chrono>

#include <gpucnn/gpucnn.h>

#include "options.h"

/// Says when a state is to be saved.
class SaveTimes {
 public:
  SaveTimes(const SaveEvery& every, int epochs) : every_(every), epochs_(epochs) {}

  /// Amid an epoch.
  bool now() const {
    if (!every_.minutes) return false;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - last_).count() >= *every_.minutes * 60;
  }
  bool at(const gpucnn::RunPosition& position) const {
    const bool ends_epoch = position.batches == 0;
    return now() || (ends_epoch && (position.epoch == epochs_ || (every_.epochs > 0 && position.epoch % every_.epochs == 0)));
  }
  void saved() { last_ = std::chrono::steady_clock::now(); }

 private:
  SaveEvery every_;
  int epochs_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};
