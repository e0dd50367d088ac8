#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/layers/containers/child.h>
#include <gpucnn/layers/module/members.h>

namespace gpucnn {

/// The modules inside a container, each with a name.
class GPUCNN_API ChildList {
 public:
  /// `container` is the class that messages name.
  explicit ChildList(const char* container) : container_(container) {}
  ChildList(ChildList&&) noexcept = default;
  ChildList& operator=(ChildList&&) noexcept = default;

  /// Takes the child in as `otherwise` unless it has a name. Throws `std::invalid_argument` for a name that is taken or has a dot
  /// in it, or an empty child, and `std::logic_error` for a module that was moved from.
  void add(const Child& child, std::string_view otherwise);
  /// The same, called by its number.
  void add(const Child& child) { add(child, std::to_string(entries_.size())); }
  /// Every child of a list, called by its number.
  template <class List>
  void add_all(const List& children) {
    for (const Child& child : children) add(child);
  }

  void members(Members& m);

  /// For a container's `copy`: copies of all children, under the same names.
  ChildList copy() const;

  std::size_t size() const noexcept { return entries_.size(); }
  Module& operator[](std::size_t i) const { return *entries_[i].module; }
  auto begin() const noexcept { return entries_.begin(); }
  auto end() const noexcept { return entries_.end(); }

 private:
  struct Entry {
    std::string name;
    std::unique_ptr<Module> module;
  };

  const char* container_;
  std::vector<Entry> entries_;
};

}  // namespace gpucnn
