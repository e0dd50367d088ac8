#pragma once

#include <atomic>
#include <utility>
#include <vector>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// The hooks of one module, at least one.
struct Module::Hooks {
  Hooks() { modules.fetch_add(1, std::memory_order_relaxed); }
  ~Hooks() { modules.fetch_sub(1, std::memory_order_relaxed); }
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  struct Entry {
    int number;
    bool backward;
    Hook call;
  };
  std::vector<Entry> entries;

  static inline std::atomic<int> modules{0};  // in the process that have hooks: while there are none, nobody searches a tree
  static inline std::atomic<int> last_number{0};
};

}  // namespace gpucnn
