#include <gpucnn/train/tensorboard/add_epoch.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>

#include "layers/layers.h"

#include "io/temporary_folder.h"  // behind those: it has a namespace called testing
#include "train/tensorboard/event_reader.h"

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using testing::fields_of;
using testing::records_of;

/// The tags of an event file behind its first record.
std::vector<std::string> tags_of(const std::string& file) {
  std::vector<std::string> tags;
  const std::vector<std::string_view> records = records_of(file);
  for (std::size_t i = 1; i < records.size(); ++i) {
    const auto event = fields_of(records[i]);
    EXPECT_EQ(event.at(2).number, 3U);
    tags.emplace_back(fields_of(fields_of(event.at(5).bytes).at(1).bytes).at(1).bytes);
  }
  return tags;
}

class AddEpochTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AddEpochTest, devices(), device_name);

TEST_P(AddEpochTest, AddsNumbersHistogramsAndFilters) {
  Sequential model{Conv2d(3, 4, {.kernel_size = 3, .bias = false}), Flatten(), Linear(4 * 36, 2)};
  model.init(1).to(device());
  const testing::TemporaryFolder folder;
  SummaryWriter writer(folder.path());
  const EpochResult epoch{.epoch = 3,
                          .train = {.loss_sum = 3, .correct = 1, .images = 4},
                          .test = {.loss_sum = 1, .correct = 1, .images = 2},
                          .lr = 0.25,
                          .seconds = 1,
                          .images_per_second = 4,
                          .best = true};
  add_epoch(writer, epoch, model, "validation");
  const std::string file = testing::read_bytes(writer.path());
  EXPECT_THAT(tags_of(file),
              ElementsAre("loss/train", "accuracy/train", "loss/validation", "accuracy/validation", "lr", "images_per_second",
                          "parameters/0.weight", "parameters/2.weight", "parameters/2.bias", "filters/0.weight"));
  const auto loss = fields_of(fields_of(fields_of(records_of(file)[1]).at(5).bytes).at(1).bytes);
  EXPECT_EQ(loss.at(2).real(), 0.75F);
}

TEST_P(AddEpochTest, LeavesOutWhatIsNotThere) {
  Sequential model{Flatten(), Linear(4, 2, {.bias = false})};
  model.init(1).to(device());
  const testing::TemporaryFolder folder;
  SummaryWriter writer(folder.path());
  add_epoch(writer,
            {.epoch = 3,
             .train = {.loss_sum = 3, .correct = 1, .images = 4},
             .test = {},
             .lr = 1,
             .seconds = 1,
             .images_per_second = 4,
             .best = true},
            model);
  EXPECT_THAT(tags_of(testing::read_bytes(writer.path())),
              ElementsAre("loss/train", "accuracy/train", "lr", "images_per_second", "parameters/1.weight"));
}

}  // namespace
}  // namespace gpucnn
