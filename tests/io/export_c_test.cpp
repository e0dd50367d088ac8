#include <gpucnn/io/export_c.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/gpucnn.h>

#include "io/exported_c.h"
#include "io/temporary_folder.h"

namespace gpucnn {
namespace {

using testing::c_compilers;
using testing::CCompiler;
using testing::ExportedC;
using ::testing::HasSubstr;
using ::testing::Not;

class NumbersInC : public ::testing::TestWithParam<ExportCOptions::Numbers> {};

TEST_P(NumbersInC, GiveBackEveryBit) {
  std::vector<float> values{0.0F, -0.0F, 1.0F, -3.0F, 0.1F, 1e10F, 16777216.0F};
  using Limits = std::numeric_limits<float>;
  for (const float value : {Limits::max(), Limits::min(), Limits::denorm_min(), 3 * Limits::denorm_min(), Limits::epsilon()}) {
    values.push_back(value);
    values.push_back(-value / 3);
  }
  const auto count = static_cast<std::int64_t>(values.size());
  Sequential model{Linear(1, static_cast<int>(count), {.bias = false})};
  model.at<Linear>("0").weight().value().copy_from(Tensor::from(values, {count, 1}));
  ExportedC exported;
  export_c(model, {1, 1}, exported.file(), {.numbers = GetParam()});
  EXPECT_THAT(exported.text(), HasSubstr(" -0.0f,"));
  for (const CCompiler& compiler : c_compilers()) {
    ASSERT_NO_FATAL_FAILURE(exported.compile(compiler, 1, values.size()));
    EXPECT_EQ(exported.predict({1.0F}), values);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, NumbersInC,
                         ::testing::Values(ExportCOptions::Numbers::hexadecimal, ExportCOptions::Numbers::decimal),
                         [](const auto& its) { return its.param == ExportCOptions::Numbers::decimal ? "decimal" : "hexadecimal"; });

TEST(ExportC, TakesNoTextForCode) {
  const std::vector<std::string> names{"*/ int evil; /*",
                                       "new\nline",
                                       "?"
                                       "?/",
                                       "\"quoted\" \\ back",
                                       "K\xC3\xA4"
                                       "fer1",
                                       ""};
  const std::string layer =
      "*/\n#error ?"
      "?/";
  Sequential model{{layer, Linear(2, 6)}};
  ExportedC exported("net_3___x");
  export_c(model, {1, 2}, exported.file(), {.name = "net 3*/ x", .class_names = names});
  EXPECT_THAT(exported.text(), HasSubstr("void net_3___x_predict(const float *input, float *output);"));
  for (const CCompiler& compiler : c_compilers()) {
    SCOPED_TRACE(compiler.command);
    ASSERT_NO_FATAL_FAILURE(exported.compile(compiler, 2, 6));
    testing::write_bytes(exported.folder() / "names.c",
                         "#include <stdio.h>\nextern const char *const net_3___x_class_names[6];\n"
                         "int main(void) { for (int i = 0; i < 6; ++i) printf(\"%s|\", net_3___x_class_names[i]); return 0; }\n");
    const std::string folder = exported.folder().path().string();
    ASSERT_EQ(std::system(
                  ("cd '" + folder + "' && " + compiler.command + " -std=c99 network.c names.c -o names && ./names >out").c_str()),
              0);
    std::string expected;
    for (const std::string& name : names) expected += name + "|";
    EXPECT_EQ(testing::read_bytes(exported.folder() / "out"), expected);
  }
}

TEST(ExportC, MakesANameOfAnyText) {
  Sequential model{Linear(2, 2)};
  const testing::TemporaryFolder folder;
  for (const auto& [name, function] :
       {std::pair{"", "network__predict"}, {"3d", "network_3d_predict"}, {"while", "while_predict"}}) {
    export_c(model, {1, 2}, folder / "x.c", {.name = name});
    EXPECT_THAT(testing::read_bytes(folder / "x.c"), HasSubstr(std::string("void ") + function + "(const float *input"));
  }
}

TEST(ExportC, SaysWhatTheFileNeeds) {
  const testing::TemporaryFolder folder;
  SimpleCNN model(10);
  export_c(model, {1, 3, 32, 32}, folder / "x.c", {.name = "cnn", .mean = {0.5, 0.5, 0.5}, .std = {0.25, 0.25, 0.25}});
  const std::string text = testing::read_bytes(folder / "x.c");
  // The largest pair of neighbours: the first convolution's 16 x 32 x 32 and its pooled 16 x 16 x 16 floats.
  EXPECT_THAT(text, HasSubstr("Static memory: 81,920 bytes for what lies between layers, and 1,074,600 bytes of constants."));
  EXPECT_THAT(text, HasSubstr("static float memory[20480];"));
  EXPECT_THAT(text, HasSubstr("Of <math.h> it needs the macro INFINITY, and no function."));
  EXPECT_THAT(text, HasSubstr("#define CNN_INPUT_SIZE 3072"));
  EXPECT_THAT(text, HasSubstr("#define CNN_OUTPUT_SIZE 10"));
  EXPECT_THAT(text, HasSubstr("const float cnn_mean[3] = {"));
  Sequential smooth{Flatten(), Sigmoid(), Linear(4, 2), GELU()};
  export_c(smooth, {1, 1, 2, 2}, folder / "x.c");
  EXPECT_THAT(testing::read_bytes(folder / "x.c"), HasSubstr("Of <math.h> it needs erff, expf: link with -lm."));
  Sequential plain{Linear(4, 2), ReLU()};
  export_c(plain, {1, 4}, folder / "x.c");
  EXPECT_THAT(testing::read_bytes(folder / "x.c"), Not(HasSubstr("math.h")));
}

class Foreign : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x; }

 protected:
  Tensor forward(const Tensor& x, Context&) const override { return x; }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
};

TEST(ExportC, RefusesWhatCannotBeExported) {
  const testing::TemporaryFolder folder;
  const auto message = [&](const Module& model, const Shape& x, const ExportCOptions& options = {}) -> std::string {
    try {
      export_c(model, x, folder / "x.c", options);
    } catch (const std::logic_error& error) {  // std::invalid_argument is one
      return error.what();
    }
    return "nothing";
  };
  Sequential model{Conv2d(3, 2, {.kernel_size = 1}), Flatten(), Linear(8, 2)};
  EXPECT_THAT(message(model, {4, 3, 2, 2}), HasSubstr("its first extent must be 1"));
  EXPECT_THAT(message(model, {1, 3, 0, 2}), HasSubstr("must be of one input"));
  EXPECT_THAT(message(model, {3}), HasSubstr("must be of one input"));
  EXPECT_THAT(message(model, {1, 4, 2, 2}), HasSubstr("expects 3 input channels, got 4"));
  EXPECT_THAT(message(model, {1, 3, 2, 2}, {.class_names = {"a"}}), HasSubstr("1 class_names for a network of 2 outputs"));
  EXPECT_THAT(message(model, {1, 3, 2, 2}, {.class_names = {std::string(4096, 'a'), "b"}}), HasSubstr("4096 bytes"));
  EXPECT_THAT(message(model, {1, 3, 2, 2}, {.mean = {0.5}, .std = {1, 1, 1}}), HasSubstr("1 values of mean and 3 of std"));
  EXPECT_THAT(message(model, {1, 3, 2, 2}, {.mean = {NAN, 0, 0}, .std = {1, 1, 1}}), HasSubstr("must be finite"));
  Sequential foreign{{"own", Foreign()}};
  EXPECT_THAT(message(foreign, {1, 3}), HasSubstr("Foreign"));
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    Sequential bad{{"fc", Linear(2, 1)}};
    bad.at<Linear>("fc").weight().value().copy_from(Tensor::from(std::vector{1.0F, value}, {1, 2}));
    EXPECT_THAT(message(bad, {1, 2}), HasSubstr("fc.weight holds "));
  }
  EXPECT_TRUE(folder.list().empty());
}

TEST(ExportC, NamesANormThatIsNotFinite) {
  Sequential model{Conv2d(3, 2, {.kernel_size = 1}), BatchNorm2d(2)};
  Tensor var = model.state_dict().at("1.running_var");
  var.copy_from(Tensor::from(std::vector{1.0F, std::numeric_limits<float>::quiet_NaN()}, {2}));
  const testing::TemporaryFolder folder;
  try {
    export_c(model, {1, 3, 2, 2}, folder / "x.c");
    FAIL() << "it was exported";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr("1.running_var holds nan"));
  }
}

TEST(ExportC, LeavesAnOlderFileWhereItFails) {
  const testing::TemporaryFolder folder;
  Sequential model{Linear(2, 1)};
  EXPECT_THROW(export_c(model, {1, 2}, folder / "none/x.c"), OutputError);
  testing::write_bytes(folder / "x.c", "older");
  EXPECT_THROW(export_c(model, {1, 3}, folder / "x.c"), std::invalid_argument);
  EXPECT_EQ(testing::read_bytes(folder / "x.c"), "older");
}

}  // namespace
}  // namespace gpucnn
