#include <gpucnn/train/report/run_report.h>

#include <regex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>

#include "layers/layers.h"

namespace gpucnn {
namespace {

using testing::HasSubstr;
using testing::Not;

EpochNumbers epoch(int number, double accuracy) {
  return {.epoch = number,
          .train_loss = 1.5,
          .train_accuracy = 0.25,
          .test_loss = 1.25,
          .test_accuracy = accuracy,
          .lr = 0.1,
          .seconds = 61,
          .images_per_second = 1234};
}

/// Images of noise, u8, with labels in turn.
DataLoader noise(std::int64_t count, std::int64_t side, std::int64_t classes, Device device) {
  std::vector<std::uint8_t> pixels;
  for (const float value : reference::random_floats(count * 3 * side * side, 7))
    pixels.push_back(static_cast<std::uint8_t>(128 + 127 * value));
  std::vector<std::int32_t> labels;
  for (std::int64_t n = 0; n < count; ++n) labels.push_back(static_cast<std::int32_t>(n % classes));
  return DataLoader(TensorDataset(Tensor::from(pixels, {count, 3, side, side}, device), Tensor::from(labels, {count}, device)),
                    {.batch_size = 16});
}

Sequential network(int side, int classes) {
  return Sequential{Conv2d(3, 4, {.kernel_size = 3, .padding = 1}), ReLU(), Flatten(), Linear(4 * side * side, classes)};
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// The numbers of the confusion matrix, row by row.
std::vector<std::int64_t> cells_of_matrix(const std::string& html) {
  const std::size_t first = html.find("<table class=\"matrix\">"), last = html.find("</table>", first);
  const std::string table = html.substr(first, last - first);
  const std::regex cell("<td[^>]*>([0-9]+)</td>");
  std::vector<std::int64_t> cells;
  for (std::sregex_iterator it(table.begin(), table.end(), cell), end; it != end; ++it) cells.push_back(std::stoll((*it)[1]));
  return cells;
}

class RunReportTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, RunReportTest, devices(), device_name);

TEST_P(RunReportTest, ShowsWhatTheModelMakesOfTheTestSet) {
  Sequential model = network(8, 3);
  model.init(1).to(device());
  DataLoader test = noise(40, 8, 3, device());
  RunReport report({.title = "A run",
                    .class_names = {"cat", "dog", "cow"},
                    .epochs = 5,
                    .configuration = {{"lr", "0.1"}},
                    .machine = {{"threads", "2"}}});
  report.add(epoch(1, 0.5));
  report.add(epoch(2, 0.375));
  const std::vector<float> before = all_values(model);
  report.look_at(model, test);
  EXPECT_EQ(all_values(model), before);
  EXPECT_TRUE(model.training());
  EXPECT_FALSE(model.has_hooks());
  const std::string html = report.html();
  EXPECT_THAT(html, HasSubstr("<title>A run</title>"));
  EXPECT_THAT(html, HasSubstr("50.00 % <span class=\"quiet\">in epoch 1</span>"));
  EXPECT_THAT(html, HasSubstr("<dt>Test accuracy</dt><dd>37.50 %</dd>"));
  EXPECT_THAT(html, HasSubstr("<dt>Epochs</dt><dd>2 of 5</dd>"));
  EXPECT_THAT(html, HasSubstr("<dt>Time</dt><dd>2:02 min</dd>"));
  EXPECT_THAT(html, HasSubstr("of the weights after epoch 2"));
  const Examination& found = report.examination();
  EXPECT_EQ(cells_of_matrix(html), found.confusion);
  EXPECT_EQ(count(html, "<figcaption>"), 3 + found.mistakes.size());
  EXPECT_EQ(count(html, "alt=\"Heat map of "), found.mistakes.size());
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">threads</th><td>2</td>"));
  EXPECT_THAT(html, HasSubstr("0.weight: grey is a weight of 0"));
  EXPECT_THAT(html, HasSubstr("Total parameters: "));
  for (const char* outside : {"<script", "http:", "https:", "<link", "@import"}) EXPECT_THAT(html, Not(HasSubstr(outside)));
}

TEST_P(RunReportTest, NamesTheEpochThatWeightsComeFrom) {
  Sequential model = network(8, 3);
  model.init(1).to(device());
  DataLoader test = noise(40, 8, 3, device());
  RunReport report({.title = "A run"});
  for (const int number : {1, 2, 3}) report.add(epoch(number, 0.5));
  report.look_at(model, test, 2);
  EXPECT_THAT(report.html(), HasSubstr("of the weights after epoch 2"));
  report.look_at(model, test);
  EXPECT_THAT(report.html(), HasSubstr("of the weights after epoch 3"));
}

TEST(RunReport, SaysWhereNoRateHelps) {
  RunReport report({.title = "Rates"});
  report.add_rates({{1e-7, 2.3}, {1e-6, 2.3}, {1e-5, 2.4}}, 1e-6);
  EXPECT_THAT(report.html(), HasSubstr("The loss falls fastest at a learning rate of 1e-06."));
  report.add_rates({{1e-7, 2.3}, {1e-6, 2.4}, {1e-5, 2.5}}, 0);
  const std::string html = report.html();
  EXPECT_THAT(html, HasSubstr("The loss falls at none of these learning rates."));
  EXPECT_THAT(html, HasSubstr("from 1e-07 to 1e-05; it falls at none of them."));
  EXPECT_THAT(html, Not(HasSubstr("fastest")));
}

TEST_P(RunReportTest, LetsNoNameBecomeATag) {
  Sequential model = network(8, 2);
  model.init(1).to(device());
  DataLoader test = noise(20, 8, 2, device());
  const std::string hostile = "<script>alert('x')</script>\x1b[31m\"";
  RunReport report({.title = hostile,
                    .class_names = {hostile, hostile},
                    .configuration = {{hostile, hostile}},
                    .machine = {{hostile, hostile}}});
  report.add(epoch(1, 0.5));
  report.look_at(model, test);
  const std::string html = report.html();
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("\x1b")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\\x1b[31m&quot;"));
}

TEST(RunReport, StaysSmallWithManyClassesAndLargeImages) {
  Sequential model{Conv2d(3, 96, {.kernel_size = 11, .stride = 32}), ReLU(), Flatten(), Linear(96 * 7 * 7, 1000)};
  model.init(1);
  DataLoader test = noise(30, 224, 1000, Device());
  RunReport report(
      {.title = "Large", .class_names = std::vector<std::string>(1000, "a name that is rather long"), .epochs = 100'000});
  for (int number = 1; number <= 100'000; ++number) report.add(epoch(number, 0.5));
  report.look_at(model, test);
  const std::string html = report.html();
  EXPECT_LT(html.size(), 2'000'000U);
  EXPECT_EQ(count(html, "alt=\"Heat map of "), 12U);
  EXPECT_THAT(html, HasSubstr("What is confused most often"));
}

/// A layer that can neither be cloned nor followed.
class Own : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x; }

 protected:
  Tensor forward(const Tensor& x, Context&) const override { return x; }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
};

TEST_P(RunReportTest, DoesWithoutHeatMapsWhereAModelHasNone) {
  Sequential own{Own(), Flatten(), Linear(192, 2)}, flat{Flatten(), Linear(192, 2)};
  DataLoader test = noise(20, 8, 2, device());
  for (Sequential* model : {&own, &flat}) {
    model->init(1).to(device());
    RunReport report({.title = "A run"});
    EXPECT_THAT(report.html(), HasSubstr("No epoch has ended yet"));
    report.add(epoch(1, 0.5));
    report.look_at(*model, test);
    EXPECT_THAT(report.html(), HasSubstr("class 1"));
    EXPECT_THAT(report.html(), HasSubstr("alt=\"Test image "));
    EXPECT_THAT(report.html(), Not(HasSubstr("Heat map")));
  }
}

}  // namespace
}  // namespace gpucnn
