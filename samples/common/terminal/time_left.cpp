#include "common/terminal/time_left.h"

#include <utility>

TimeLeft::TimeLeft(std::function<double()> now) : now_(std::move(now)) {}

double TimeLeft::operator()(const gpucnn::Progress& progress) {
  const double begin = now_() - progress.seconds;
  if (progress.epoch != epoch_) {
    if (epoch_ != 0) {
      const double rest = begin - begin_ - trained_;
      rest_ = before_ > 0 ? (rest_ + rest) / 2 : rest;  // not every epoch has a report, and a machine changes its pace
      before_ = trained_;
    }
    epoch_ = progress.epoch;
    begin_ = begin;
  }
  trained_ = progress.seconds;
  const double done = static_cast<double>(progress.train.images) / static_cast<double>(progress.images);
  // The epoch before counts as long as this one is young, for its first steps are a poor sample.
  const double training = before_ > 0 ? (before_ + trained_) / (1 + done) : trained_ / done;
  return (1 - done) * training + rest_ + (progress.epochs - progress.epoch) * (training + rest_);
}
