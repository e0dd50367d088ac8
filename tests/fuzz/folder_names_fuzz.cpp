#include <algorithm>
#include <cstdlib>

#include <gpucnn/core/text/printable.h>
#include <gpucnn/data/image/image_files.h>

#include "fuzz_target.h"

std::vector<std::string> fuzz::seeds() {
  return {"cat/dog/bird", "Cat/cat",           ".git/cat", "a\xFF/b", "1.png/2.JPG/.3.png/4.txt/5.jpeg",
          "кот/猫/🐈",     "a\nb/\x1b]0;x\x07", "",         "//./.."};
}

// The input is a list of names, parted by slashes, which no name holds.
void fuzz::run(std::string_view bytes) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at <= bytes.size();) {
    const std::size_t end = std::min(bytes.find('/', at), bytes.size());
    if (end > at) names.emplace_back(bytes.substr(at, end - at));
    at = end + 1;
  }
  int images = 0;
  if (bytes.size() % 2 == 0) {
    for (const std::string& name : names) images += gpucnn::is_image_name("folder", name);
  }
  const std::vector<std::string> classes = gpucnn::arrange_class_names("folder", names);
  if (!std::ranges::is_sorted(classes) || images > static_cast<int>(names.size())) std::abort();
  for (const std::string& name : classes) {
    if (name.starts_with('.') || !gpucnn::is_utf8(name)) std::abort();
  }
}
