#include <gpucnn/train/tensorboard/add_epoch.h>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/train/report/first_filters.h>

namespace gpucnn {

void add_epoch(SummaryWriter& writer, const EpochResult& epoch, Module& model, std::string_view judged) {
  constexpr int kFilterScale = 8;  // pixels for each number of a filter, in each direction
  const auto scalar = [&](std::string_view tag, double value) { writer.add_scalar(tag, value, epoch.epoch); };
  scalar("loss/train", epoch.train.loss());
  scalar("accuracy/train", epoch.train.accuracy());
  if (epoch.test.images > 0) {
    scalar(formatted("loss/{}", judged), epoch.test.loss());
    scalar(formatted("accuracy/{}", judged), epoch.test.accuracy());
  }
  scalar("lr", epoch.lr);
  scalar("images_per_second", epoch.images_per_second);
  for (const Parameter& parameter : model.parameters()) {
    writer.add_histogram("parameters/" + parameter.name(), parameter.value(), epoch.epoch);
  }
  if (const auto filters = report::first_filters(model)) {
    writer.add_png("filters/" + filters->layer, report::png_of(report::enlarged(filters->sheet, kFilterScale)), epoch.epoch);
  }
  writer.flush();
}

}  // namespace gpucnn
