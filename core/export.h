#pragma once

/// Marks what a shared libgpucnn exports; everything else is hidden.
#define GPUCNN_API __attribute__((visibility("default")))
