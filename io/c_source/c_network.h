#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/layers/graph/model_graph.h>

namespace gpucnn {

/// A graph as calls of the functions of c_functions.h, and the arrays that they read.
struct CNetwork {
  struct Constant {
    std::string name;  ///< with the file's name
    std::vector<float> values;
  };

  std::vector<Constant> constants;
  std::string calls;                                  ///< the body of the file's `predict`, each line with its indentation
  std::set<std::string_view, std::less<>> functions;  ///< the names of those that are called
  std::int64_t floats = 0;                            ///< the length of the array `memory`; 0: there is none
  std::int64_t weights = 0;                           ///< how many floats the constants have
};

/// `prefix` is the file's name, which every name outside a function begins with. Throws `std::invalid_argument` for a constant that
/// is NaN or infinite.
CNetwork c_network(const ModelGraph& graph, const std::string& prefix);

}  // namespace gpucnn
