#pragma once

#include <string>

namespace gpucnn {

/// This machine's name, for people; "localhost" where the system has none.
std::string host_name();

}  // namespace gpucnn
