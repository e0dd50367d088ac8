#include "inputs.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace fs = std::filesystem;

namespace {

/// Those of ImageFolder.
constexpr std::array<std::string_view, 9> kExtensions{".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

/// Gathers the images in a folder and below it.
class Walk {
 public:
  explicit Walk(fs::path folder) : folder_(std::move(folder)) {
    visit(folder_);
    std::ranges::sort(found_, {}, [](const Input& input) { return input.file.native(); });
    if (found_.empty()) fail(folder_, "holds no image, PNG or JPEG");
  }

  std::vector<Input> take() { return std::move(found_); }

 private:
  void fail(const fs::path& folder, const std::string& problem) {
    found_.push_back({folder, fmt::format("{}: {}", folder.string(), problem)});
  }

  /// Links may lead to a folder along many ways, or back to one around it: it is visited once.
  bool is_new(const fs::path& folder) {
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 && seen_.insert({status.st_dev, status.st_ino}).second;
  }

  void visit(const fs::path& folder) {
    if (!is_new(folder)) return;
    std::vector<fs::path> folders;
    std::error_code failure;
    fs::directory_iterator entry(folder, failure);
    for (; !failure && entry != fs::directory_iterator(); entry.increment(failure)) {
      std::error_code unknown;  // such as a link to nothing, which is no folder
      const fs::path& path = entry->path();
      if (is_hidden(path)) continue;
      if (entry->is_directory(unknown)) {
        folders.push_back(path);
      } else if (is_image_name(path)) {
        found_.push_back({path});
      }
    }
    if (failure) fail(folder, fmt::format("the folder cannot be read: {}", failure.message()));
    for (const fs::path& below : folders) visit(below);
  }

  fs::path folder_;
  std::set<std::pair<dev_t, ino_t>> seen_;
  std::vector<Input> found_;
};

void add(const std::string& name, std::vector<Input>& inputs) {
  std::error_code unknown;  // the file's reader says why it cannot be read
  if (!fs::is_directory(name, unknown)) {
    inputs.push_back({name});
    return;
  }
  for (Input& input : Walk(name).take()) inputs.push_back(std::move(input));
}

}  // namespace

std::vector<Input> find_inputs(std::span<const std::string> names) {
  std::vector<Input> inputs;
  for (const std::string& name : names) {
    if (name != "-") {
      add(name, inputs);
      continue;
    }
    for (std::string line; std::getline(std::cin, line);) {
      if (!line.empty()) add(line, inputs);
    }
    if (std::cin.bad()) inputs.push_back({"-", "standard input cannot be read"});
  }
  return inputs;
}
