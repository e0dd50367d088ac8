#include "heat_map_folder.h"

#include <system_error>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

namespace fs = std::filesystem;

HeatMapFolder::HeatMapFolder(const fs::path& folder) : folder_(folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw gpucnn::OutputError(folder.string(), failure.message());
}

void HeatMapFolder::add(const fs::path& image, const std::string& png) {
  const std::string stem = image.stem().string();
  std::string name = stem + ".png";
  for (int again = 2; !taken_.insert(name).second; ++again) name = fmt::format("{}-{}.png", stem, again);
  gpucnn::AtomicFile file(folder_ / name);
  file.write(png);
  file.commit();
}
