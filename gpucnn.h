#pragma once

/// Everything public of libgpucnn.
#include <gpucnn/core/allocator.h>
#include <gpucnn/core/device.h>
#include <gpucnn/core/dtype.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/random.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/core/state_dict.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads.h>
#include <gpucnn/kernels/adam.h>
#include <gpucnn/kernels/argmax.h>
#include <gpucnn/kernels/dropout.h>
#include <gpucnn/kernels/flatten.h>
#include <gpucnn/kernels/image_batch.h>
#include <gpucnn/kernels/labels.h>
#include <gpucnn/kernels/max_pool2d.h>
#include <gpucnn/kernels/relu.h>
#include <gpucnn/kernels/sgd.h>
#include <gpucnn/kernels/size2.h>
#include <gpucnn/kernels/softmax.h>
#include <gpucnn/kernels/softmax_cross_entropy.h>
