#include <gpucnn/io/import_onnx.h>

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/io/export_onnx.h>
#include <gpucnn/io/onnx/fields.h>
#include <gpucnn/io/protobuf/wire_writer.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>

#include "layers/layers.h"
#include "misuse.h"

#include "io/onnx_file.h"  // behind those: it has a namespace called testing

namespace gpucnn {
namespace {

TEST_F(ImportOnnx, ReadsWhatPyTorchsExportersWrite) {
  const StateDict example = load_safetensors("golden/onnx/small.safetensors").first;
  for (const char* name : {"golden/onnx/small_old.onnx", "golden/onnx/small_new.onnx"}) {
    SCOPED_TRACE(name);
    const ImportedOnnx read = import_onnx(name);
    EXPECT_EQ(read.input, (Shape{1, 3, 8, 8}));
    expect_close(values(read.model->predict(example.at("input"))), as_doubles(values(example.at("output"))), kGoldenPass);
    EXPECT_EQ(read.model->at<Linear>("fc").weight().shape(), (Shape{5, 512}));
    EXPECT_EQ(read.model->at<Conv2d>("conv1").weight().shape(), (Shape{4, 3, 3, 3}));
  }
}

TEST_F(ImportOnnx, ReadsSharedWeightsAndBiasesOfTheirOwn) {
  const File file{{{"Conv", {"x", "w"}, "a"},
                   {"Add", {"b", "a"}, "c"},
                   {"Conv", {"c", "w"}, "d"},
                   {"Identity", {"d"}, "e"},
                   {"Flatten", {"e"}, "f"},
                   {"MatMul", {"f", "m"}, "g"},
                   {"Add", {"g", "n"}, "y"}},
                  {tensor_of("w", {2, 2, 1, 1}), tensor_of("b", {1, 2, 1, 1}), tensor_of("m", {32, 3}), tensor_of("n", {3})}};
  const ImportedOnnx read = this->read(file);
  EXPECT_EQ(read.model->size(), 4);
  EXPECT_THAT(values(read.model->predict(Tensor::full({1, 2, 4, 4}, 1))), ::testing::Each(0.5F + 32 * 0.5F * 1.5F));
}

TEST_F(ImportOnnx, NamesWhatTheLayersDoNotHave) {
  expect_refused({{{"LSTM", {"x"}, "y"}}}, "expected an operator that the layers have in node 'the LSTM' LSTM, found 'LSTM'");
  expect_refused({{{"Relu", {"x"}, "y", {}, "com.microsoft"}}},
                 "an operator of ONNX's own in node 'the Relu' Relu, found one of 'com");
  expect_refused({{{"Tanh", {"x"}, "t"}, {"Mul", {"x", "t"}, "y"}}}, "a sum in node 'the Mul' Mul, found another function");
  expect_refused({{{"Relu", {"x"}, "t"}, {"MaxPool", {"x"}, "y"}}}, "expected a kernel_shape in node 'the MaxPool' MaxPool");
  expect_refused({{{"MaxPool", {"x"}, "y", {{"kernel_shape", {2, 2}}, {"pads", {0, 0, 1, 1}}}}}}, "the same padding on both sides");
  expect_refused({{{"Transpose", {"x"}, "y", {{"perm", {0, 2, 3, 1}}}}}}, "a network of [N, C, H, W] throughout");
  expect_refused({{{"Concat", {"x", "x"}, "y", {{"axis", {2}}}}}}, "axis 1, the channels");
  expect_refused({{{"Conv", {"x", "w"}, "y"}}, {tensor_of("w", {2, 2, 1, 1}, 10)}}, "f32 as elements of 'w'");
  expect_refused({{{"Conv", {"x", "w"}, "y"}}, {tensor_of("w", {2, 3, 1, 1})}},
                 "in node 'the Conv' Conv, found expects 3 input channels, got 2");
  expect_refused({{{"Conv", {"x", "x"}, "y"}}}, "a tensor of the file as input 1");
}

TEST_F(ImportOnnx, ReadsAReshapeThatFlattens) {
  const auto file = [](const std::vector<std::int64_t>& shape) {
    return File{{{"Reshape", {"x", "s"}, "y"}}, {numbers_of("s", shape)}};
  };
  for (const std::vector<std::int64_t>& shape : {{0, -1}, {-1, 32}, {0, 32}, std::vector<std::int64_t>{0, 2, 4, -1}}) {
    EXPECT_EQ(read(file(shape)).model->output_shape({5, 2, 4, 4}).numel(), 5 * 32);
  }
  expect_refused(file({-1, 16}), "found [-1, 16] of [2, 2, 4, 4]");
  expect_refused(file({1, -1}), "found [1, -1] of [2, 2, 4, 4]");
  expect_refused(file({-1, -1}), "a Reshape of images to rows of features");
  expect_refused(file({0, 4, 2, 4}), "a Reshape of images to rows of features");
}

TEST_F(ImportOnnx, NamesInputsAndOutputsThatDoNotFit) {
  const std::vector<Step> relu{{"Relu", {"x"}, "y"}};
  expect_refused({{{"Relu", {"z"}, "y"}}}, "inputs that nodes before it make in node 'the Relu' Relu, found 'z'");
  expect_refused({relu, {}, {}}, "a graph with one input, found none");
  expect_refused({relu, {}, {value_of("x", {1, 2}), value_of("z", {1, 2})}}, "found a second one, 'z'");
  expect_refused({relu, {}, {value_of("x", {-1, 3, -1, -1})}}, "found a dimension without one; export with a fixed size");
  expect_refused({relu, {}, {value_of("x", {1, 3}, 7)}}, "an input 'x' of f32");
  expect_refused({relu, {}, {value_of("x", {1, 2, 3})}}, "found 3 dimensions");
  expect_refused({relu, {}, {value_of("x", {1, 2})}, {"y", "x"}}, "a graph with one output, found 2");
  expect_refused({{{"Relu", {"x"}, "y"}, {"Tanh", {"x"}, "y"}}}, "outputs with names of their own");
}

TEST_F(ImportOnnx, NamesANodeWhoseBranchesDoNotMeet) {
  // The first convolution is read by the second and by both sums.
  expect_refused({{{"Conv", {"x", "w"}, "a"},
                   {"Conv", {"a", "w"}, "b"},
                   {"Conv", {"b", "w"}, "c"},
                   {"Conv", {"b", "w"}, "d"},
                   {"Add", {"a", "c"}, "e"},
                   {"Add", {"e", "d"}, "y"}},
                  {tensor_of("w", {2, 2, 1, 1})}},
                 "is read by branches that do not meet");
}

TEST_F(ImportOnnx, NamesWeightsInOtherFiles) {
  WireWriter tensor = tensor_of("w", {2, 2, 1, 1}), entry;
  entry.bytes(onnx::entry::key, "location");
  entry.bytes(onnx::entry::value, "weights.bin");
  tensor.message(onnx::tensor::external_data, entry);
  tensor.integer(onnx::tensor::data_location, 1);
  expect_refused({{{"Conv", {"x", "w"}, "y"}}, {tensor}},
                 "torch.onnx.export(…, external_data=False) writes them there in node 'the Conv' Conv, found 'w' in the file "
                 "'weights.bin'");
}

TEST_F(ImportOnnx, RefusesSizesThatTheFileDoesNotHold) {
  WireWriter huge;
  for (const std::int64_t extent : {1'000'000, 1'000'000, 3, 3}) huge.integer(onnx::tensor::dims, extent);
  huge.integer(onnx::tensor::data_type, 1);
  huge.bytes(onnx::tensor::name, "w");
  huge.bytes(onnx::tensor::raw_data, "1234");
  expect_refused({{{"Conv", {"x", "w"}, "y"}}, {huge}}, "the elements of 'w'");
  expect_refused({{{"Conv", {"x", "w"}, "y", {{"group", {-3}}}}}, {tensor_of("w", {2, 2, 1, 1})}}, "in node 'the Conv' Conv");
  // A weight of 4 KiB that a thousand nodes use.
  File many{{}, {tensor_of("w", {32, 32, 1, 1})}, {value_of("x", {-1, 32, 4, 4})}};
  for (int i = 0; i < 1000; ++i) {
    many.steps.push_back({"Conv", {i == 0 ? "x" : std::to_string(i), "w"}, i == 999 ? "y" : std::to_string(i + 1)});
  }
  expect_refused(many, "some that are used too often");
}

TEST_F(ImportOnnx, RefusesWhatIsNoOnnx) {
  EXPECT_THAT([&] { import_onnx(folder_ / "none.onnx"); }, ThrowsMessage<DataError>(HasSubstr("a file that can be read")));
  EXPECT_THAT([&] { read(std::string()); }, ThrowsMessage<DataError>(HasSubstr("an ONNX model with a graph, found none")));
  EXPECT_THAT([&] { read("PK\x03\x04 and so on"); }, ThrowsMessage<DataError>(HasSubstr("protobuf")));
  EXPECT_THAT([&] { read(std::string(1 << 16, 'x')); }, ThrowsMessage<DataError>(HasSubstr("expected")));
}

TEST_F(ImportOnnx, AnswersEveryDamagedFileWithASentence) {
  const Sequential model{Conv2d(2, 2, {.kernel_size = 3}), ReLU(), Flatten(), Linear(8, 2)};
  export_onnx(model, {1, 2, 4, 4}, folder_ / "m.onnx");
  const std::string whole = testing::read_bytes(folder_ / "m.onnx");
  int refused = 0;
  const auto try_to_read = [&](const std::string& bytes) {
    try {
      read(bytes);
    } catch (const DataError& error) {
      ++refused;
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) try_to_read(whole.substr(0, size));
  EXPECT_EQ(refused, whole.size());
  for (std::size_t place = 0; place < whole.size(); ++place) {
    for (const int bit : {0, 2, 7}) {
      std::string bytes = whole;
      bytes[place] = static_cast<char>(bytes[place] ^ (1 << bit));
      try_to_read(bytes);
    }
  }
  EXPECT_GT(refused, whole.size());
}

}  // namespace
}  // namespace gpucnn
