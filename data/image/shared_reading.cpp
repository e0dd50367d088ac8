#include <gpucnn/data/image/shared_reading.h>

#include <algorithm>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

void read_together(const ReaderGroup* group, const std::function<void()>& work) {
  if (group) return group->together(work);
  work();
}

BatchPart own_part(const ReaderGroup* group) { return group ? BatchPart{group->rank(), group->size()} : BatchPart(); }

std::span<const std::int64_t> own_numbers(const ReaderGroup* group, std::span<const std::int64_t> numbers) {
  const BatchPart part = own_part(group);
  const auto N = std::ssize(numbers);
  return numbers.subspan(static_cast<std::size_t>(part.first(N)), static_cast<std::size_t>(part.images(N)));
}

std::vector<std::string> gather_texts(const ReaderGroup* group, const std::string& text) {
  if (group) return group->all_gather(text);
  return {text};
}

void require_same_texts(const ReaderGroup* group, std::string_view what, const std::string& text) {
  const std::vector<std::string> texts = gather_texts(group, text);
  const auto other = std::ranges::find_if(texts, [&](const std::string& one) { return one != texts.front(); });
  if (other == texts.end()) return;
  throw std::invalid_argument(
      formatted("rank {} has other {} than rank 0: {} instead of {}", other - texts.begin(), what, *other, texts.front()));
}

void share_images(const ReaderGroup* group, Tensor& images) {
  if (!group) return;
  // Ranks that wait for one of these for long are thought to hang: a slow network takes seconds for a piece.
  constexpr std::size_t kPiece = std::size_t{64} << 20;
  const auto image_bytes = static_cast<std::size_t>(images.nbytes() / std::max<std::int64_t>(1, images.dim(0)));
  std::byte* const bytes = images.rewrite_bytes();
  for (int root = 0; root < group->size(); ++root) {
    const BatchPart part{root, group->size()};
    std::span<std::byte> own(bytes + static_cast<std::size_t>(part.first(images.dim(0))) * image_bytes,
                             static_cast<std::size_t>(part.images(images.dim(0))) * image_bytes);
    while (!own.empty()) {
      const std::size_t count = std::min(kPiece, own.size());
      group->broadcast(own.first(count), root);
      own = own.subspan(count);
    }
  }
}

std::string pack_texts(std::span<const std::string> texts) {
  std::string packed;
  for (const std::string& text : texts) packed.append(text).push_back('\0');
  return packed;
}

std::vector<std::string> unpack_texts(std::string_view packed) {
  std::vector<std::string> texts;
  while (!packed.empty()) {
    const std::size_t end = packed.find('\0');
    texts.emplace_back(packed.substr(0, end));
    packed.remove_prefix(end + 1);
  }
  return texts;
}

}  // namespace gpucnn
