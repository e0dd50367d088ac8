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

/// Names that a state and what it was loaded into do not share, each list in the order of its side: PyTorch's _IncompatibleKeys.
struct IncompatibleKeys {
  std::vector<std::string> missing_keys;     ///< in the model, not in the state: their values stayed
  std::vector<std::string> unexpected_keys;  ///< in the state, not in the model: passed over; what was left out comes last

  bool empty() const noexcept { return missing_keys.empty() && unexpected_keys.empty(); }
};

/// Named tensors in the order of the model's tree, as PyTorch's `state_dict()`. The tensors share memory with whatever they were
/// taken from.
class GPUCNN_API StateDict {
 public:
  using Entry = std::pair<std::string, Tensor>;

  /// Adds an entry at the end. Throws `std::invalid_argument` if the name is taken.
  void add(std::string name, Tensor tensor);

  bool contains(std::string_view name) const noexcept { return find(name) != nullptr; }
  /// The tensor called `name`. Throws `std::invalid_argument` if there is none, and says why if it was left out.
  const Tensor& at(std::string_view name) const;
  /// The same, or null.
  const Tensor* find(std::string_view name) const noexcept;

  /// Names whose tensors could not be read, and why, as a sentence without its end.
  using LeftOut = std::map<std::string, std::string, std::less<>>;

  /// Notes such a name. It is no entry: only who asks for it fails. Throws `std::invalid_argument` if the name is taken.
  void leave_out(std::string name, std::string why);
  const LeftOut& left_out() const noexcept { return left_out_; }

  /// The same tensors, with `prefix` taken from the names that begin with it; other names stay. For weights that were saved from
  /// within a wrapper: `state.without_prefix("module.")`, PyTorch's consume_prefix_in_state_dict_if_present. Throws
  /// `std::invalid_argument` if two names become one.
  StateDict without_prefix(std::string_view prefix) const;
  /// The same tensors, with `prefix` before every name, as `state.with_prefix("module.")`.
  StateDict with_prefix(std::string_view prefix) const;

  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  auto begin() const noexcept { return entries_.begin(); }
  auto end() const noexcept { return entries_.end(); }

 private:
  void require_free(const std::string& name) const;

  std::vector<Entry> entries_;
  // Ordered: names come from files, and whoever writes one could choose names that collide in a hash table.
  std::map<std::string, std::size_t, std::less<>> positions_;
  LeftOut left_out_;
};

}  // namespace gpucnn
