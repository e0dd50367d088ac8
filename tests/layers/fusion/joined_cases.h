#pragma once

#include <gpucnn/core/shape.h>
#include <gpucnn/layers/activation/gelu.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/activation/sigmoid.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/pool/max_pool2d.h>

namespace gpucnn {

/// Layers side by side that a Sequential may run as one.
struct JoinedCase {
  const char* name;
  Sequential (*make)();
  Shape x;
  bool one_pass = false;  // one kernel computes Conv2d, ReLU and MaxPool2d on the CPU
};

inline constexpr Conv2dOptions kSamePadding{.kernel_size = 3, .padding = 1};
inline constexpr Conv2dOptions kDepthwise{.kernel_size = 3, .padding = 1, .groups = 6};

inline const JoinedCase kJoinedCases[] = {
    {"conv_relu_pool",
     [] {
       return Sequential{Conv2d(3, 16, kSamePadding), ReLU(), MaxPool2d(2)};
     },
     {5, 3, 12, 12},
     true},
    {"one_image",
     [] {
       return Sequential{Conv2d(3, 5, kSamePadding), ReLU(), MaxPool2d(2)};
     },
     {1, 3, 7, 5},
     true},
    {"odd_channels",
     [] {
       return Sequential{Conv2d(5, 17, kSamePadding), ReLU(), MaxPool2d(2)};
     },
     {3, 5, 7, 5},
     true},
    {"many_channels",
     [] {
       return Sequential{Conv2d(17, 33, {.kernel_size = 3, .padding = 1, .bias = false}), ReLU(), MaxPool2d(2)};
     },
     {3, 17, 7, 5},
     true},
    {"two_stages",
     [] {
       return Sequential{Conv2d(3, 17, kSamePadding), ReLU(), MaxPool2d(2), Conv2d(17, 33, kSamePadding), ReLU(), MaxPool2d(2)};
     },
     {3, 3, 7, 5},
     true},
    {"stage_amid_others",
     [] { return Sequential{ReLU(), Conv2d(3, 5, kSamePadding), ReLU(), MaxPool2d(2), Flatten(), Linear(30, 4), ReLU()}; },
     {3, 3, 7, 5},
     true},
    {"empty_batch_in_one_pass",
     [] {
       return Sequential{Conv2d(3, 4, kSamePadding), ReLU(), MaxPool2d(2)};
     },
     {0, 3, 8, 8},
     true},
    {"activations_before_convolutions",
     [] {
       return Sequential{Conv2d(2, 6, kSamePadding),
                         Tanh(),
                         Conv2d(6, 6, kDepthwise),
                         ReLU(),
                         Conv2d(6, 9, {.kernel_size = 1}),
                         ReLU(),
                         MaxPool2d(3, 2, 1),
                         Conv2d(9, 4, {.kernel_size = 1}),
                         Sigmoid()};
     },
     {3, 2, 7, 9}},
    {"activation_before_one_pass",
     [] {
       return Sequential{Conv2d(3, 6, kSamePadding), ReLU(), Conv2d(6, 5, kSamePadding), ReLU(), MaxPool2d(2)};
     },
     {3, 3, 8, 6},
     true},
    {"activation_before_a_pass_of_many_channels",
     [] {
       return Sequential{Conv2d(3, 96, kSamePadding), ReLU(), Conv2d(96, 128, kSamePadding), ReLU(), MaxPool2d(2)};
     },
     {2, 3, 6, 6},
     true},
    {"activations_before_linears",
     [] { return Sequential{Linear(5, 33), ReLU(), Linear(33, 17), Sigmoid(), Linear(17, 9), ReLU(), Dropout(0.5)}; },
     {4, 5}},
    {"odd_sizes",
     [] {
       return Sequential{Conv2d(2, 17, {.kernel_size = 3}), ReLU(), MaxPool2d(2)};
     },
     {3, 2, 9, 13}},
    {"large_window",
     [] {
       return Sequential{Conv2d(3, 5, {.kernel_size = 5, .padding = 1}), ReLU(), MaxPool2d(2)};
     },
     {2, 3, 9, 8}},
    {"stride",
     [] {
       return Sequential{ReLU(), Conv2d(3, 5, {.kernel_size = 3, .stride = 2, .padding = 1}), ReLU(), MaxPool2d(2)};
     },
     {2, 3, 9, 8}},
    {"dilation",
     [] {
       return Sequential{Conv2d(3, 5, {.kernel_size = 3, .padding = 1, .dilation = 2}), ReLU(), MaxPool2d(2)};
     },
     {2, 3, 9, 8}},
    {"groups",
     [] {
       return Sequential{Conv2d(4, 6, {.kernel_size = 3, .padding = 1, .groups = 2}), ReLU(), MaxPool2d(2)};
     },
     {2, 4, 9, 8}},
    {"pool_of_three",
     [] {
       return Sequential{Conv2d(3, 5, kSamePadding), ReLU(), MaxPool2d(3)};
     },
     {2, 3, 9, 8}},
    {"pool_with_stride",
     [] {
       return Sequential{Conv2d(3, 5, kSamePadding), ReLU(), MaxPool2d(2, 1)};
     },
     {2, 3, 9, 8}},
    {"pool_with_padding",
     [] {
       return Sequential{Conv2d(3, 5, kSamePadding), ReLU(), MaxPool2d(2, 2, 1)};
     },
     {2, 3, 9, 8}},
    {"overlapping_windows",
     [] {
       return Sequential{Conv2d(3, 5, {.kernel_size = 3, .bias = false}), ReLU(), MaxPool2d(3, 1, 1)};
     },
     {2, 3, 8, 7}},
    {"conv_relu",
     [] {
       return Sequential{Conv2d(3, 8, {.kernel_size = {1, 3}}), ReLU()};
     },
     {33, 3, 5, 6}},
    {"linear_relu",
     [] {
       return Sequential{Linear(20, 33), ReLU(), Linear(33, 7), ReLU()};
     },
     {65, 20}},
    {"sigmoid_and_tanh_behind_layers",
     [] { return Sequential{Conv2d(3, 5, kSamePadding), Sigmoid(), MaxPool2d(2), Flatten(), Linear(30, 4), Tanh(), Dropout(0.5)}; },
     {3, 3, 7, 5}},
    {"gelu_behind_layers",
     [] {
       return Sequential{Conv2d(3, 5, kSamePadding), GELU(), MaxPool2d(2), Flatten(), Linear(30, 4), GELU("tanh"), Dropout(0.5)};
     },
     {3, 3, 7, 5}},
    {"linear_relu_dropout",
     [] {
       return Sequential{Linear(6, 8), ReLU(), Dropout(0.5), Linear(8, 3)};
     },
     {9, 6}},
    {"relu_alone",
     [] {
       return Sequential{ReLU(), Linear(20, 4)};
     },
     {3, 20}},
    {"relu_twice",
     [] {
       return Sequential{Linear(20, 4), ReLU(), ReLU()};
     },
     {3, 20}},
    {"relu_pool_first",
     [] {
       return Sequential{ReLU(), MaxPool2d(2), Conv2d(3, 2, {.kernel_size = 1})};
     },
     {2, 3, 5, 4}},
    {"pool_relu",
     [] {
       return Sequential{MaxPool2d(2), ReLU(), MaxPool2d(2)};
     },
     {2, 3, 9, 8}},
    {"empty_batch",
     [] {
       return Sequential{Conv2d(3, 4, {.kernel_size = 3}), ReLU(), MaxPool2d(2)};
     },
     {0, 3, 8, 8}},
};

}  // namespace gpucnn
