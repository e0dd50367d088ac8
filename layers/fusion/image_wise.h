#pragma once

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Whether a module only hands images on to those inside it, and joins what they make.
using IsContainer = bool (*)(const Module& module);

/// Whether in `predict` this layer, and all inside it, computes each image of a batch from that image alone, so that it may get
/// some images of the batch at a time. Of classes that are not the library's own nobody knows. Linear is none: its weights are
/// read once a batch.
bool is_image_wise(Module& layer, IsContainer is_container);

}  // namespace gpucnn
