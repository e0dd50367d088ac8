// A run that was stopped anywhere and resumed in new objects has the bits of one that never was.
#include <algorithm>

#include <gtest/gtest.h>

#include <gpucnn/core/threads/threads.h>
#include <gpucnn/train/checkpoint.h>
#include <gpucnn/train/fit.h>

#include "device_test.h"
#include "everywhere.h"
#include "io/temporary_folder.h"
#include "pretended_bf16.h"
#include "train/checkpoint/a_run.h"

namespace gpucnn {
namespace {

using testing::TemporaryFolder;

class ResumeTest : public DeviceTest {
 protected:
  /// A run that stops when `stop` has been asked `asked` times, before which it saves where it is.
  void stop_after(int asked) {
    ARun run(device());
    run.model.set_precision(precision_);
    FitOptions options = run.options();
    options.stop = [&asked] { return asked-- == 0; };
    const FitResult result = run.fit(options);
    ASSERT_TRUE(result.stopped);
    save_checkpoint(file_, run.parts(), result.position, {{"note", "stopped"}});
  }

  /// The rest, in a run that was made with another seed.
  ARun& resume() {
    resumed_.emplace(device(), 99);
    resumed_->model.set_precision(precision_);
    const LoadedCheckpoint loaded = load_checkpoint(file_, resumed_->parts());
    EXPECT_EQ(loaded.metadata, (Metadata{{"note", "stopped"}}));
    FitOptions options = resumed_->options();
    options.start = loaded.position;
    result_ = resumed_->fit(options);
    return *resumed_;
  }

  /// What the epochs of `result_` came to is what the last epochs of `whole` did.
  void expect_last_of(const FitResult& whole) const {
    ASSERT_LE(result_.epochs.size(), whole.epochs.size());
    ASSERT_FALSE(result_.epochs.empty());
    for (std::size_t i = 1; i <= result_.epochs.size(); ++i) {
      const EpochResult &got = *(result_.epochs.end() - i), &expected = *(whole.epochs.end() - i);
      EXPECT_EQ(got.epoch, expected.epoch);
      EXPECT_EQ(got.train.loss_sum, expected.train.loss_sum);
      EXPECT_EQ(got.train.correct, expected.train.correct);
      EXPECT_EQ(got.train.images, expected.train.images);
      EXPECT_EQ(got.test.loss_sum, expected.test.loss_sum);
      EXPECT_EQ(got.test.correct, expected.test.correct);
      EXPECT_EQ(got.lr, expected.lr);
      EXPECT_EQ(got.best, expected.best);
    }
    EXPECT_EQ(result_.position.best_epoch, whole.position.best_epoch);
    EXPECT_EQ(result_.position.best_accuracy, whole.position.best_accuracy);
  }

  Precision precision_ = Precision::fp32;
  TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "state.safetensors";
  std::optional<ARun> resumed_;
  FitResult result_;
};

TEST_P(ResumeTest, HasTheBitsOfARunThatWasNeverStopped) {
  ARun whole(device());
  int asked = 0;
  FitOptions options = whole.options();
  options.stop = [&asked] { return ++asked, false; };
  const FitResult expected = whole.fit(options);
  ASSERT_EQ(asked, ARun::kEpochs * (6 + 3));                     // each training step and each test batch
  const int step = device().kind == Device::Kind::cuda ? 3 : 1;  // a GPU may be an emulated one
  for (int stop = 0; stop < asked; stop += step) {
    SCOPED_TRACE(stop);
    const ForcedThreads threads(1 + stop % 2);
    ASSERT_NO_FATAL_FAILURE(stop_after(stop));
    EXPECT_TRUE(resume().bits() == whole.bits());
    expect_last_of(expected);
  }
}

TEST_P(ResumeTest, InBf16HasTheBitsOfARunThatWasNeverStopped) {
  const PretendedBf16 there;
  precision_ = Precision::bf16;
  ARun whole(device()), in_fp32(device());
  whole.model.set_precision(precision_);
  const FitResult expected = whole.fit(whole.options());
  in_fp32.fit(in_fp32.options());
  EXPECT_FALSE(whole.bits() == in_fp32.bits());
  for (const int stop : {0, 4, 9, 14}) {
    SCOPED_TRACE(stop);
    const ForcedThreads threads(1 + stop % 2);
    ASSERT_NO_FATAL_FAILURE(stop_after(stop));
    EXPECT_TRUE(resume().bits() == whole.bits());
    expect_last_of(expected);
  }
}

TEST_P(ResumeTest, GoesOnFromWhatIsSavedOnTheWay) {
  ARun whole(device());
  const FitResult expected = whole.fit(whole.options());
  ARun saving(device());
  FitOptions options = saving.options();
  int asked = 0;
  std::vector<RunPosition> positions;
  options.save_due = [&asked] { return ++asked % 4 == 0; };
  options.save = [&](const RunPosition& position) {
    positions.push_back(position);
    save_checkpoint(folder_ / ("state-" + std::to_string(positions.size())), saving.parts(), position, {{"note", "stopped"}});
  };
  saving.fit(options);
  EXPECT_TRUE(saving.bits() == whole.bits()) << "saving has changed the run";
  ASSERT_EQ(positions.size(), 4U + ARun::kEpochs);  // every fourth step, and every epoch
  EXPECT_EQ(positions.front().batches, 4);
  EXPECT_EQ(positions.back().epoch, ARun::kEpochs);
  for (std::size_t i = 1; i < positions.size(); ++i) {
    SCOPED_TRACE(i);
    std::filesystem::copy_file(folder_ / ("state-" + std::to_string(i)), file_, std::filesystem::copy_options::overwrite_existing);
    EXPECT_TRUE(resume().bits() == whole.bits());
    expect_last_of(expected);
  }
}

TEST_P(ResumeTest, AFinishedRunHasNothingToDo) {
  ARun run(device());
  const FitResult result = run.fit(run.options());
  save_checkpoint(file_, run.parts(), result.position, {{"note", "stopped"}});
  EXPECT_TRUE(resume().bits() == run.bits());
  EXPECT_TRUE(result_.epochs.empty());
  EXPECT_FALSE(result_.stopped);
}

INSTANTIATE_TEST_SUITE_P(Devices, ResumeTest, devices(), device_name);

}  // namespace
}  // namespace gpucnn
