#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/tensor.h>
#include <gpucnn/layers/containers/sequential.h>

#include "layers/layers.h"

#include "io/onnx_file.h"  // behind those: it has a namespace called testing

/// Networks that compute what their file says, or are refused.
namespace gpucnn {
namespace {

using ::testing::Each;
using Integers = std::vector<std::int64_t>;

class ImportedMeaning : public ImportOnnx {
 protected:
  /// What a file makes of an image that is `fill` everywhere.
  std::vector<float> outputs(const File& file, float fill) const {
    const ImportedOnnx read = this->read(file);
    return values(read.model->predict(Tensor::full(read.input, fill)));
  }
};

/// conv(x), `same` of that, and a sum of both, of which one has a bias.
File with_alias(Step same, std::vector<WireWriter> tensors) {
  same.inputs.insert(same.inputs.begin(), "a");
  same.output = "b";
  tensors.push_back(tensor_of("w", {2, 2, 1, 1}));
  tensors.push_back(tensor_of("k", {2, 1, 1}));
  return {{{"Conv", {"x", "w"}, "a"}, same, {"Add", {"b", "k"}, "c"}, {"Relu", {"a"}, "d"}, {"Add", {"c", "d"}, "y"}}, tensors};
}

TEST_F(ImportedMeaning, KeepsABiasFromReadersUnderAnotherName) {
  const std::string message = "or a bias behind a layer that has none in node 'the Add' Add";
  expect_refused(with_alias({"Identity", {}, ""}, {}), message);
  expect_refused(with_alias({"Dropout", {}, ""}, {}), message);
  expect_refused(with_alias({"Concat", {}, "", {{"axis", {1}}}}, {}), message);
  expect_refused(with_alias({"Transpose", {}, "", {{"perm", {0, 1, 2, 3}}}}, {}), message);
  expect_refused(with_alias({"Reshape", {"s"}, ""}, {numbers_of("s", {0, 2, 4, 4})}), message);
}

TEST_F(ImportedMeaning, GivesABiasToALayerThatIsReadOnceUnderManyNames) {
  const File file{{{"Conv", {"x", "w"}, "a"},
                   {"Identity", {"a"}, "b"},
                   {"Dropout", {"b"}, "c"},
                   {"Identity", {"a"}, "nobody reads it"},
                   {"Add", {"c", "k"}, "y"}},
                  {tensor_of("w", {2, 2, 1, 1}), tensor_of("k", {2, 1, 1})}};
  EXPECT_EQ(read(file).model->size(), 1);
  EXPECT_THAT(outputs(file, 3), Each(0.5F * 3 * 2 + 0.5F));
}

TEST_F(ImportedMeaning, TellsEveryClipFromAnActivation) {
  const auto clip = [](float low, float high) {
    return File{{{"Clip", {"x", "low", "high"}, "y"}}, {number_of("low", low), number_of("high", high)}};
  };
  for (const float bound : {20.F, 31.F, 50.F, 100.F, 1e6F, 1e30F, 3e38F}) {
    expect_refused(clip(0, bound), "an activation that the layers have in node 'the Clip' Clip");
    expect_refused(clip(-bound, bound), "an activation that the layers have in node 'the Clip' Clip");
  }
  EXPECT_THAT(outputs(clip(0, 6), 50), Each(6));
  constexpr float kLargest = std::numeric_limits<float>::max();
  EXPECT_THAT(outputs(clip(0, kLargest), 1e30F), Each(1e30F));
  EXPECT_THAT(outputs(clip(0, kLargest), -1e30F), Each(0));
}

TEST_F(ImportedMeaning, TellsSmallStepsFromNone) {
  const auto steps = [](float factor, float sum) {
    return File{{{"Mul", {"x", "f"}, "a"}, {"Add", {"a", "s"}, "y"}}, {number_of("f", factor), number_of("s", sum)}};
  };
  expect_refused(steps(1e-8F, 1e-7F), "an activation that the layers have in node 'the Add' Add");
  EXPECT_THAT(outputs(steps(1e-8F, 0), 2), Each(2e-8F));
}

TEST_F(ImportedMeaning, CutsNoFractionsOff) {
  const auto cast = [](Integers to) {
    return File{{{"Cast", {"k"}, "c", {{"to", to}}}, {"Mul", {"x", "c"}, "y"}}, {number_of("k", 2.75F)}};
  };
  expect_refused(cast({onnx::tensor::is_int64}),
                 "a type that holds the same numbers in node 'the Cast' Cast, found ONNX's type 7 of 1");
  EXPECT_THAT(outputs(cast({onnx::tensor::is_float}), 2), Each(5.5F));
}

TEST_F(ImportedMeaning, ReadsABiasByItsDimensions) {
  const auto unsqueezed = [](const Integers& dims, const Integers& axes) {
    return File{{{"Conv", {"x", "w"}, "a"}, {"Unsqueeze", {"k", "axes"}, "b"}, {"Add", {"a", "b"}, "y"}},
                {tensor_of("w", {2, 2, 1, 1}), tensor_of("k", dims), numbers_of("axes", axes)}};
  };
  EXPECT_THAT(outputs(unsqueezed({2}, {1, 2}), 1), Each(1.5F));
  EXPECT_THAT(outputs(unsqueezed({2}, {-1, -2}), 1), Each(1.5F));
  expect_refused(unsqueezed({2, 1, 1}, {3}), "or a bias behind a layer that has none");
  expect_refused(unsqueezed({2, 1, 1}, {7}), "axes of the tensor in node 'the Unsqueeze' Unsqueeze, found 7");

  const auto turned = [](const Integers& dims) {
    return File{{{"MatMul", {"x", "w"}, "a"}, {"Transpose", {"k"}, "b"}, {"Add", {"a", "b"}, "y"}},
                {tensor_of("w", {4, 3}), tensor_of("k", dims)},
                {value_of("x", {-1, 4})}};
  };
  EXPECT_THAT(outputs(turned({3, 1}), 1), Each(2.5F));
  expect_refused(turned({1, 3}), "or a bias behind a layer that has none");

  const auto gemm = [](const Integers& dims) {
    return File{{{"Gemm", {"x", "w", "k"}, "y"}}, {tensor_of("w", {4, 3}), tensor_of("k", dims)}, {value_of("x", {-1, 4})}};
  };
  EXPECT_THAT(outputs(gemm({1, 3}), 1), Each(2.5F));
  expect_refused(gemm({3, 1}), "a bias [3] in node 'the Gemm' Gemm");
}

TEST_F(ImportedMeaning, KeepsTheNumberOfDimensions) {
  const File file{{{"Mul", {"x", "k"}, "y"}}, {tensor_of("k", {1, 1, 1, 1, 1})}};
  expect_refused(file, "a number that leaves the dimensions as they are in node 'the Mul' Mul, found one of 5 dimensions");
  expect_refused({{{"Transpose", {"x"}, "y", {{"perm", {0, 0, 2, 3}}}}}}, "throughout, without Transpose");
  // A 0 is the extent of the groups here: [N, 2, 1, 16] becomes [N, 2, 16, 1].
  const File grouped{
      {{"Reshape", {"x", "s"}, "a"}, {"InstanceNormalization", {"a", "o", "z"}, "b"}, {"Reshape", {"b", "t"}, "y"}},
      {numbers_of("s", {0, 1, -1}), numbers_of("t", {0, 0, -1, 4}), tensor_of("o", {1}, 1, 1), tensor_of("z", {1}, 1, 0)}};
  expect_refused(grouped, "found [0, 0, -1, 4] of groups");
}

TEST_F(ImportedMeaning, RefusesAttributesThatItDoesNotRead) {
  expect_refused({{{"Relu", {"x"}, "y", {{"axis", {2}}}}}},
                 "attributes that the layers have in node 'the Relu' Relu, found 'axis'");
  expect_refused({{{"Gather", {"s", "s"}, "g", {{"axis", {1}}}}, {"Relu", {"x"}, "y"}}, {numbers_of("s", {0})}},
                 "axis 0 of a shape in node 'the Gather' Gather, found axis 1");
  expect_refused({{{"Flatten", {"x"}, "y", {{"axis", {1}}, {"axis", {2}}}}}}, "every attribute once");
  expect_refused({{{"Flatten", {"x"}, "y", {}, {}, {{"axis", "2"}}}}},
                 "axis of ONNX's attribute type 2 in node 'the Flatten' Flatten");
  EXPECT_THAT(outputs({{{"Dropout", {"x"}, "y", {{"seed", {3}}}}}}, 2), Each(2));
}

TEST_F(ImportedMeaning, RefusesPadsBesideAnAutoPad) {
  const auto conv = [](const std::string& mode, const Integers& pads) {
    return File{{{"Conv", {"x", "w"}, "y", {{"pads", pads}}, {}, {{"auto_pad", mode}}}}, {tensor_of("w", {2, 2, 3, 3})}};
  };
  expect_refused(conv("VALID", {1, 1, 1, 1}), "pads or an auto_pad in node 'the Conv' Conv");
  expect_refused(conv("SAME", {0, 0, 0, 0}), "auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  EXPECT_THAT(outputs(conv("VALID", {0, 0, 0, 0}), 1), Each(9));
  const auto pool = [](const Integers& pads, std::int64_t ceil) {
    return File{{{"MaxPool",
                  {"x"},
                  "y",
                  {{"kernel_shape", {3, 3}}, {"strides", {2, 2}}, {"pads", pads}, {"ceil_mode", {ceil}}},
                  {},
                  {{"auto_pad", "VALID"}}}}};
  };
  expect_refused(pool({1, 1, 1, 1}, 0), "pads and ceil_mode 0 beside auto_pad VALID in node 'the MaxPool' MaxPool");
  expect_refused(pool({0, 0, 0, 0}, 1), "pads and ceil_mode 0 beside auto_pad VALID in node 'the MaxPool' MaxPool");
  EXPECT_THAT(outputs(pool({0, 0, 0, 0}, 0), 2), ::testing::SizeIs(2));
}

TEST_F(ImportedMeaning, RefusesNetworksThatLearn) {
  const auto dropout = [](const std::string& mode) {
    WireWriter flag;
    flag.integer(onnx::tensor::data_type, onnx::tensor::is_bool);
    flag.bytes(onnx::tensor::name, "mode");
    flag.bytes(onnx::tensor::raw_data, mode);
    return File{{{"Dropout", {"x", "ratio", "mode"}, "y"}}, {number_of("ratio", 0.5F), flag}};
  };
  expect_refused(dropout("\1"), "a Dropout in inference mode; export with model.eval() in node 'the Dropout' Dropout");
  EXPECT_THAT(outputs(dropout(std::string(1, '\0')), 2), Each(2));
  File norm{{{.type = "BatchNormalization", .inputs = {"x", "k", "k", "k", "k"}, .output = "y", .more_outputs = {"mean", "var"}}},
            {tensor_of("k", {2})}};
  norm.operator_set = 9;
  expect_refused(norm, "a norm in inference mode; export with model.eval() in node 'the BatchNormalization' BatchNormalization");
  norm.steps[0].more_outputs = {"", ""};
  EXPECT_EQ(read(norm).model->size(), 1);
  File old{{{"Relu", {"x"}, "y"}}};
  old.operator_set = 6;
  expect_refused(old, "operator set 7 or later; export with a later one");
}

TEST_F(ImportedMeaning, ReadsTheSizesOfAResize) {
  const auto resize = [](const Integers& sizes) {
    return File{{{"Resize", {"x", "", "", "s"}, "y"}}, {numbers_of("s", sizes)}, {value_of("x", {3, 2, 4, 4})}};
  };
  EXPECT_EQ(read(resize({3, 2, 8, 12})).model->output_shape({1, 2, 4, 4}), (Shape{1, 2, 8, 12}));
  expect_refused(resize({6, 2, 8, 12}), "the same number of images and channels in node 'the Resize' Resize");
  const auto by = [](Step step) {
    step.type = "Resize";
    step.inputs = {"x", "", "f"};
    step.output = "y";
    return File{{step}, {tensor_of("f", {4}, 1, 1)}};
  };
  EXPECT_THAT(outputs(by({}), 2), Each(2));
  expect_refused(by({.integers = {{"axes", {0, 1, 3, 2}}}}), "factors of all axes");
  expect_refused(by({.texts = {{"keep_aspect_ratio_policy", "not_larger"}}}), "keep_aspect_ratio_policy \"stretch\"");
}

}  // namespace
}  // namespace gpucnn
