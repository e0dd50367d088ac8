#include <gpucnn/data/files/unpacked_file.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <vector>

#include <zlib.h>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/data/deflate_ratio.h>

namespace gpucnn {
namespace {

constexpr std::size_t kChunk = 1 << 16;      // bytes read or skipped at once
constexpr std::size_t kMaxOutput = 1 << 30;  // zlib counts in 32 bits
constexpr int kGzip = 16 + MAX_WBITS;        // zlib: a gzip header, and the largest window
constexpr std::array<std::byte, 2> kMagic{std::byte{0x1F}, std::byte{0x8B}};

}  // namespace

class UnpackedFile::Inflater {
 public:
  explicit Inflater(const InputFile& file) : file_(file), input_(kChunk) {
    if (inflateInit2(&stream_, kGzip) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Unpacks into `bytes`; how many there were before the end.
  std::size_t read(std::span<std::byte> bytes) {
    std::size_t done = 0;
    while (done < bytes.size() && !ended_) {
      if (stream_.avail_in == 0) refill();
      const std::size_t wanted = std::min(bytes.size() - done, kMaxOutput);
      stream_.next_out = reinterpret_cast<Bytef*>(bytes.data() + done);
      stream_.avail_out = static_cast<uInt>(wanted);
      const int result = inflate(&stream_, Z_NO_FLUSH);
      done += wanted - stream_.avail_out;
      if (result == Z_MEM_ERROR) throw std::bad_alloc();
      if (result == Z_STREAM_END) {
        ended_ = stream_.avail_in == 0 && at_ == file_.size();
        if (!ended_) inflateReset(&stream_);  // another member follows, or what is none
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        file_.fail(at_ - stream_.avail_in, "gzip data", stream_.msg ? stream_.msg : "other data");
      }
    }
    return done;
  }

 private:
  void refill() {
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, file_.size() - at_));
    if (count == 0) file_.fail(at_, "the rest of the gzip data", "the end of the file");
    file_.read(at_, std::span(input_).first(count));
    at_ += count;
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(count);
  }

  const InputFile& file_;
  std::vector<std::byte> input_;
  z_stream stream_{};
  std::uint64_t at_ = 0;  // bytes of the file that were read
  bool ended_ = false;
};

UnpackedFile::UnpackedFile(const std::filesystem::path& path) : file_(path) {
  std::array<std::byte, 2> start{};
  if (file_.size() < start.size()) return;
  file_.read(0, start);
  if (start == kMagic) inflater_ = std::make_unique<Inflater>(file_);
}

UnpackedFile::~UnpackedFile() = default;

std::uint64_t UnpackedFile::max_size() const noexcept {
  constexpr std::uint64_t kMaxSize = std::numeric_limits<std::int64_t>::max();
  if (!inflater_) return file_.size();
  return file_.size() > kMaxSize / kMaxDeflateRatio ? kMaxSize : file_.size() * kMaxDeflateRatio;
}

void UnpackedFile::read(std::span<std::byte> bytes) {
  if (!inflater_) {
    file_.read(offset_, bytes);
    offset_ += bytes.size();
    return;
  }
  const std::size_t got = inflater_->read(bytes);
  offset_ += got;
  if (got < bytes.size()) fail(offset_, formatted("{} bytes more", bytes.size() - got), "the end of the data");
}

void UnpackedFile::skip(std::uint64_t count) {
  std::vector<std::byte> dropped(static_cast<std::size_t>(std::min<std::uint64_t>(count, kChunk)));
  while (count > 0) {
    const std::size_t some = static_cast<std::size_t>(std::min<std::uint64_t>(count, dropped.size()));
    read(std::span(dropped).first(some));
    count -= some;
  }
}

void UnpackedFile::require_end() {
  std::byte next{};
  if (inflater_ ? inflater_->read({&next, 1}) > 0 : offset_ < file_.size()) fail(offset_, "the end of the data", "more bytes");
}

void UnpackedFile::fail(std::uint64_t offset, const std::string& expected, const std::string& found) const {
  file_.fail(offset, is_packed() ? formatted("{} (unpacked)", expected) : expected, found);
}

}  // namespace gpucnn
