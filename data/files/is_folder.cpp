#include <gpucnn/data/files/is_folder.h>

#include <system_error>

#include <gpucnn/core/error.h>

namespace gpucnn {

bool is_folder(const std::filesystem::path& path, const std::string& expected) {
  std::error_code failure;
  const std::filesystem::file_status status = std::filesystem::status(path, failure);
  if (status.type() == std::filesystem::file_type::not_found) throw DataError(path.string(), 0, expected, "no such directory");
  if (status.type() == std::filesystem::file_type::none) throw DataError(path.string(), 0, expected, failure.message());
  return status.type() == std::filesystem::file_type::directory;
}

}  // namespace gpucnn
