#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>
#include <gpucnn/data/dataset_splits.h>

namespace gpucnn {

/// A set that needs no download: ten classes of drawn figures, u8 [N, 3, 32, 32], each at a random place, size and tilt (to 27
/// degrees) and in a random colour, on a darker ground with a random slope of brightness and noise. Image i shows class i % 10 and
/// is drawn from RandomStream(seed, Purpose::shapes, 0 for training or 1 for test, i), so a longer set begins with the shorter one.
/// Throws `std::invalid_argument` for a negative count.
GPUCNN_API DatasetSplits make_shapes(std::int64_t train_count = 10'000, std::int64_t test_count = 2'000, std::uint64_t seed = 0);

}  // namespace gpucnn
