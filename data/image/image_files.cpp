#include <gpucnn/data/image/image_files.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/stat.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxDepth = 64;  // folders within each other
// Links to folders can be laid so that few of them lead along very many ways.
constexpr std::int64_t kMaxFolders = 1'000'000;
constexpr const char* kFolderOfClasses = "a folder with a subfolder for each class";

/// torchvision's IMG_EXTENSIONS. A file with one of them that is neither PNG nor JPEG is named as damaged. A file with another,
/// such as .heic or .gif, is left out and counted.
constexpr std::array<std::string_view, 9> kExtensions{".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};

bool is_hidden(std::string_view name) { return name.starts_with('.'); }

void check_utf8(const fs::path& folder, const std::string& name) {
  if (!is_utf8(name)) throw DataError((folder / name).string(), 0, "a name in UTF-8", "bytes that are none");
}

/// Calls `visit(entry, name, is_folder)` for what stands in a folder, links followed.
template <class Visit>
void for_each_entry(const fs::path& folder, const Visit& visit) {
  std::error_code failure;
  fs::directory_iterator entry(folder, failure);
  for (; !failure && entry != fs::directory_iterator(); entry.increment(failure)) {
    std::error_code unknown;  // such as a link to nothing, which is no folder
    visit(entry->path(), entry->path().filename().string(), entry->is_directory(unknown));
  }
  if (failure) throw DataError(folder.string(), 0, "a folder that can be read", failure.message());
}

/// Gathers the images of one class.
class ClassWalk {
 public:
  /// A folder and a name in it: torchvision's order.
  using Found = std::vector<std::pair<std::string, std::string>>;

  explicit ClassWalk(std::int64_t& folders) : folders_(folders) {}

  void walk(const fs::path& folder) {
    struct stat status {};
    if (stat(folder.c_str(), &status) != 0) {
      throw DataError(folder.string(), 0, "a folder that can be read", std::generic_category().message(errno));
    }
    const std::pair identity(status.st_dev, status.st_ino);
    if (std::ranges::find(above_, identity) != above_.end()) {
      throw DataError(folder.string(), 0, "a folder", "a link to a folder that it lies in itself");
    }
    if (above_.size() == kMaxDepth) {
      throw DataError(folder.string(), 0, formatted("at most {} folders within each other", kMaxDepth), "one more");
    }
    if (++folders_ > kMaxFolders) {
      throw DataError(folder.string(), 0, formatted("at most {} folders", kMaxFolders), "one more");
    }
    above_.push_back(identity);
    std::vector<fs::path> subfolders;
    for_each_entry(folder, [&](const fs::path& path, const std::string& name, bool is_folder) {
      if (is_folder) {
        if (!is_hidden(name)) subfolders.push_back(path);
      } else if (is_image_name(folder, name)) {
        found_.emplace_back(folder.string(), name);
      } else {
        ++others_;
        left_out_ += is_hidden(name) ? 0 : 1;
      }
    });
    for (const fs::path& subfolder : subfolders) walk(subfolder);
    above_.pop_back();
  }

  Found sorted() {
    std::ranges::sort(found_);
    return std::move(found_);
  }
  bool found_any() const { return !found_.empty(); }
  /// Files that are no images by name.
  std::int64_t others() const { return others_; }
  /// Those of them that are not hidden.
  std::int64_t left_out() const { return left_out_; }

 private:
  std::int64_t& folders_;
  std::vector<std::pair<dev_t, ino_t>> above_;
  Found found_;
  std::int64_t others_ = 0, left_out_ = 0;
};

void check_is_folder(const fs::path& dir) {
  std::error_code failure;
  const fs::file_status status = fs::status(dir, failure);
  if (status.type() == fs::file_type::directory) return;
  if (status.type() == fs::file_type::not_found) throw DataError(dir.string(), 0, "a folder", "no such folder");
  throw DataError(dir.string(), 0, kFolderOfClasses, failure ? failure.message() : "a file");
}

}  // namespace

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

bool is_image_name(const fs::path& folder, const std::string& name) {
  if (is_hidden(name)) return false;
  const std::string lower = lower_case(name);
  if (std::ranges::none_of(kExtensions, [&](std::string_view extension) { return lower.ends_with(extension); })) return false;
  check_utf8(folder, name);
  return true;
}

std::vector<std::string> arrange_class_names(const fs::path& dir, std::vector<std::string> subfolders) {
  std::erase_if(subfolders, is_hidden);
  std::ranges::sort(subfolders);
  std::map<std::string, const std::string*> seen;
  for (const std::string& name : subfolders) {
    check_utf8(dir, name);
    const auto [other, is_new] = seen.emplace(lower_case(name), &name);
    if (!is_new) {
      throw DataError(dir.string(), 0, "class names that differ in more than the case of letters",
                      formatted("'{}' and '{}'", printable(*other->second, kMaxNameBytes), printable(name, kMaxNameBytes)));
    }
  }
  return subfolders;
}

FolderEntries list_folder(const fs::path& dir) {
  FolderEntries entries;
  for_each_entry(dir, [&](const fs::path&, const std::string& name, bool is_folder) {
    if (!is_folder) {
      entries.images += is_image_name(dir, name) ? 1 : 0;
    } else if (!is_hidden(name)) {
      entries.subfolders.push_back(name);
    }
  });
  std::ranges::sort(entries.subfolders);
  return entries;
}

bool holds_images(const fs::path& dir) {
  std::int64_t folders = 0;
  ClassWalk walk(folders);
  walk.walk(dir);
  return walk.found_any();
}

ImageFiles find_image_files(const fs::path& dir) {
  check_is_folder(dir);
  FolderEntries entries = list_folder(dir);
  ImageFiles result{arrange_class_names(dir, std::move(entries.subfolders)), {}, {}, entries.images};
  if (result.class_names.empty()) {
    throw DataError(dir.string(), 0, kFolderOfClasses, entries.images > 0 ? "images and no subfolder" : "no subfolder");
  }
  std::int64_t folders = 0;
  for (std::size_t label = 0; label < result.class_names.size(); ++label) {
    const fs::path folder = dir / result.class_names[label];
    ClassWalk walk(folders);
    walk.walk(folder);
    result.left_out += walk.left_out();
    const ClassWalk::Found found = walk.sorted();
    if (found.empty()) {
      throw DataError(folder.string(), 0, "images of the class, PNG or JPEG",
                      walk.others() == 0 ? "none" : formatted("none among {} files", walk.others()));
    }
    for (const auto& [where, name] : found) {
      result.files.push_back(fs::path(where) / name);
      result.labels.push_back(static_cast<std::int32_t>(label));
    }
  }
  return result;
}

}  // namespace gpucnn
