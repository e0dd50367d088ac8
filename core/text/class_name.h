#pragma once

#include <string>
#include <typeinfo>

namespace gpucnn {

/// The name of a class without its namespace, as `Conv2d`: for messages.
std::string class_name(const std::type_info& type);

}  // namespace gpucnn
