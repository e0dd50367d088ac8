#pragma once

/// The field numbers of the messages in event files, as far as they are written:
/// https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto and summary.proto
namespace gpucnn::tensorboard {

namespace event {
enum { wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7 };
}
namespace session_log {
enum { status = 1 };
enum Status { start = 1 };
}  // namespace session_log
namespace summary {
enum { value = 1 };
}
namespace value {
enum { tag = 1, simple_value = 2, image = 4, histogram = 5 };
}
namespace image {
enum { height = 1, width = 2, colour_space = 3, encoded = 4 };
}
namespace histogram {
enum { min = 1, max = 2, count = 3, sum = 4, sum_of_squares = 5, limits = 6, counts = 7 };
}

}  // namespace gpucnn::tensorboard
