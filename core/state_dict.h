#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// Named tensors in the order of the model's tree, as PyTorch's `state_dict()`. The tensors share memory with whatever they were
/// taken from.
class GPUCNN_API StateDict {
 public:
  using Entry = std::pair<std::string, Tensor>;

  /// Adds an entry at the end. Throws `std::invalid_argument` if the name is taken.
  void add(std::string name, Tensor tensor);

  bool contains(std::string_view name) const noexcept { return find(name) != nullptr; }
  /// The tensor called `name`. Throws `std::invalid_argument` if there is none.
  const Tensor& at(std::string_view name) const;
  /// The same, or null.
  const Tensor* find(std::string_view name) const noexcept;

  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  auto begin() const noexcept { return entries_.begin(); }
  auto end() const noexcept { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
  // Ordered: names come from files, and whoever writes one could choose names that collide in a hash table.
  std::map<std::string, std::size_t, std::less<>> positions_;
};

}  // namespace gpucnn
