#include <gpucnn/io/export_onnx.h>

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/io/protobuf/wire_reader.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/graph/graph_builder.h>
#include <gpucnn/layers/linear.h>

#include "layers/layers.h"
#include "misuse.h"

#include "io/temporary_folder.h"  // behind those: it has a namespace called testing

namespace gpucnn {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class ExportOnnx : public ::testing::Test {
 protected:
  testing::TemporaryFolder folder_;
};

/// As onnx.checker and a hex dump have seen it.
TEST_F(ExportOnnx, WritesTheseBytes) {
  Sequential model{{"fc", Linear(2, 1, {.bias = false})}};
  model.load_state_dict([] {
    StateDict state;
    state.add("fc.weight", Tensor::from(std::vector{1.0F, -2.0F}, {1, 2}));
    return state;
  }());
  export_onnx(model, {1, 2}, folder_ / "m.onnx", {.metadata = {{"k", "v"}}});
  const auto field = [](int number, const std::string& bytes) {
    return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
  };
  const auto number = [](int of, int value) { return std::string{static_cast<char>(of << 3), static_cast<char>(value)}; };
  const auto attribute = [&](const std::string& name, int type, const std::string& value) {
    return field(5, field(1, name) + std::string{static_cast<char>(0xA0), 1, static_cast<char>(type)} + value);
  };
  const auto value = [&](const std::string& name, int extent) {
    return field(1, name) + field(2, field(1, number(1, 1) + field(2, field(1, field(2, "N")) + field(1, number(1, extent)))));
  };
  const std::string one("\x15\0\0\x80\x3F", 5);  // field 2: 1.0F
  const std::string node = field(1, "input") + field(1, "fc.weight") + field(2, "output") + field(3, "fc") + field(4, "Gemm") +
                           attribute("alpha", 1, one) + attribute("beta", 1, one) + attribute("transB", 2, number(3, 1));
  const std::string weight =
      number(1, 1) + number(1, 2) + number(2, 1) + field(8, "fc.weight") + field(9, std::string("\0\0\x80\x3F\0\0\0\xC0", 8));
  std::string graph = field(1, node) + field(2, "Sequential") + field(11, value("input", 2)) + field(12, value("output", 1));
  graph += field(5, weight);
  const std::string length{static_cast<char>(graph.size() | 0x80), static_cast<char>(graph.size() >> 7)};
  EXPECT_EQ(testing::read_bytes(folder_ / "m.onnx"), number(1, 8) + field(2, "libgpucnn") + field(8, field(1, "") + number(2, 17)) +
                                                         field(14, field(1, "k") + field(2, "v")) + field(7, "").substr(0, 1) +
                                                         length + graph);
}

TEST_F(ExportOnnx, RefusesWhatItCannotWrite) {
  const Sequential model{{"own", Sequential{Scale(3)}}};
  EXPECT_THAT(
      [&] {
        export_onnx(model, {1, 3}, folder_ / "m.onnx");
      },
      ThrowsMessage<std::logic_error>(HasSubstr("own.0 Scale: cannot be exported")));
  EXPECT_THAT(
      [&] {
        export_onnx(ReLU(), {1, 3}, folder_ / "none" / "m.onnx");
      },
      ThrowsMessage<OutputError>(HasSubstr("no folder")));
  EXPECT_THAT([&] { export_onnx(ReLU(), {1, 3}, folder_ / "m.onnx", {.metadata = {{"a", "\xFF"}}}); }, misuse("is not UTF-8"));
  EXPECT_THAT([&] { export_onnx(Linear(3, 2), {1, 4}, folder_ / "m.onnx"); }, misuse("Linear"));
  EXPECT_TRUE(folder_.list().empty());
}

TEST_F(ExportOnnx, KeepsAnOlderFileWhenItFails) {
  export_onnx(ReLU(), {1, 3}, folder_ / "m.onnx");
  const std::string before = testing::read_bytes(folder_ / "m.onnx");
  EXPECT_THROW(export_onnx(Scale(3), {1, 3}, folder_ / "m.onnx"), std::logic_error);
  EXPECT_EQ(testing::read_bytes(folder_ / "m.onnx"), before);
}

/// A product of 2 GiB, which nobody computes.
class Huge : public Module {
 public:
  Shape output_shape(const Shape& x) const override { return x.with(1, 1 << 14); }
  Tensor forward(const Tensor& x, Context&) const override { return x; }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
  int add_to(GraphBuilder& graph, int x) const override {
    return graph.add(*this, op::Linear{Tensor::empty({1 << 14, 1 << 15}), {}}, x);
  }
};

TEST_F(ExportOnnx, RefusesModelsOfMoreThanTheFormatTakes) {
  EXPECT_THAT(
      [&] {
        export_onnx(Huge(), {1, 1 << 15}, folder_ / "m.onnx");
      },
      ThrowsMessage<OutputError>(HasSubstr("allows 2 GiB")));
}

}  // namespace
}  // namespace gpucnn
