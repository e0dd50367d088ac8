#include "heat_map_folder.h"

#include <system_error>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

namespace fs = std::filesystem;

HeatMapFolder::HeatMapFolder(const fs::path& folder, std::span<const Input> images) : folder_(folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw gpucnn::OutputError(folder.string(), failure.message());
  const fs::path here = fs::canonical(folder, failure);
  for (const Input& image : images) {
    const fs::path named = fs::absolute(image.file, failure).lexically_normal(), file = fs::weakly_canonical(image.file, failure);
    if (file.parent_path() != here && fs::weakly_canonical(named.parent_path(), failure) != here) continue;
    throw gpucnn::OutputError(folder.string(),
                              fmt::format("it holds the image {}, which a heat map might replace", image.file.string()));
  }
}

void HeatMapFolder::add(const fs::path& image, const std::string& png) {
  const std::string stem = image.stem().string();
  std::string name = stem + ".png";
  for (int again = 2; !taken_.insert(name).second; ++again) name = fmt::format("{}-{}.png", stem, again);
  gpucnn::AtomicFile file(folder_ / name);
  file.write(png);
  file.commit();
}
