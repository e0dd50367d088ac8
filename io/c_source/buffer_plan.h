#pragma once

#include <cstdint>
#include <vector>

#include <gpucnn/layers/graph/model_graph.h>

namespace gpucnn {

/// Where the values of a graph lie while it is computed for one input: in the caller's input or output, or in one array, in which
/// a place is used again when nobody reads it any more.
struct BufferPlan {
  enum class Where : std::uint8_t { input, output, memory };
  struct Place {
    Where where;
    std::int64_t offset;  ///< of memory: the first float
  };

  std::vector<Place> places;  ///< of each value
  std::int64_t floats = 0;    ///< the length of the array
};

/// The plan of a graph whose values are of one input. An operation on each element by itself works in place where it can, and
/// Flatten moves nothing.
BufferPlan plan_buffers(const ModelGraph& graph);

/// Whether a node's output is its input under another shape.
bool is_view(const ModelGraph::Node& node);

}  // namespace gpucnn
