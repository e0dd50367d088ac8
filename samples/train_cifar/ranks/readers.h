#pragma once

#include <memory>

#include <gpucnn/gpucnn.h>

/// The ranks as those that read --data, each its part of the images: they end as `together` does. Null in a run of one.
std::shared_ptr<const gpucnn::ReaderGroup> readers_of(const gpucnn::Distributed& ranks);
