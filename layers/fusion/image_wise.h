#pragma once

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Whether in `predict` this layer, and all inside it, computes each image of a batch from that image alone, and would do so for
/// some images of the batch at a time. Only of the library's own classes this is known. Linear is none: its weights are read once a
/// batch. Hooks may look at whole batches, so a layer with one is none either.
bool is_image_wise(Module& layer);

}  // namespace gpucnn
