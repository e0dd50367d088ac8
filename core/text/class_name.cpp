#include <gpucnn/core/text/class_name.h>

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

namespace gpucnn {

std::string class_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  const std::string full = status == 0 ? name.get() : type.name();
  const std::size_t scope = full.substr(0, full.find('<')).rfind("::");
  return scope == std::string::npos ? full : full.substr(scope + 2);
}

}  // namespace gpucnn
