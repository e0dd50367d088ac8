#include <gpucnn/layers/containers/child_list.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {

void ChildList::add(const Child& child, std::string_view otherwise) {
  std::string name = child.name_.empty() ? std::string(otherwise) : child.name_;
  if (name.find('.') != std::string::npos) {
    throw std::invalid_argument(
        formatted("{}: the name '{}' must not have a dot in it", container_, printable(name, kMaxNameBytes)));
  }
  if (std::ranges::find(entries_, name, &Entry::name) != entries_.end()) {
    throw std::invalid_argument(formatted("{}: there is already a child '{}'", container_, printable(name, kMaxNameBytes)));
  }
  if (!child.module_) throw std::invalid_argument(formatted("{}: a child was moved from", container_));
  Module::refuse_moved_from(*child.module_);
  entries_.push_back({std::move(name), std::move(child.module_)});
}

ChildList ChildList::copy() const {
  ChildList made(container_);
  for (const Entry& entry : entries_) made.entries_.push_back({entry.name, Module::copy_of(*entry.module)});
  return made;
}

void ChildList::members(Members& m) {
  for (Entry& entry : entries_) m(entry.name, *entry.module);
}

}  // namespace gpucnn
