#include <gpucnn/io/protobuf/wire_reader.h>

#include <bit>
#include <cstring>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn::protobuf {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie in the file");

void WireFile::fail(const char* at, const std::string& expected, const std::string& found) const {
  throw DataError(name, static_cast<std::uint64_t>(at - bytes.data()), expected, found);
}

std::uint64_t WireReader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) file_->fail(rest_.data(), "the rest of a number", "the end of a message");
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  file_->fail(rest_.data(), "a number of at most 10 bytes", "a longer one");
}

std::string_view WireReader::take(std::uint64_t count) {
  if (count > rest_.size()) {
    file_->fail(rest_.data(), formatted("{} bytes of a field", count), formatted("a message that ends after {}", rest_.size()));
  }
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

bool WireReader::next() {
  if (rest_.empty()) return false;
  at_ = rest_.data();
  const std::uint64_t tag = varint();
  constexpr std::uint64_t kMaxField = (1U << 29) - 1;
  if (tag >> 3 == 0 || tag >> 3 > kMaxField) file_->fail(at_, "a field of a protobuf message", "a number that names none");
  field_ = static_cast<int>(tag >> 3);
  type_ = static_cast<WireType>(tag & 7);
  switch (type_) {
    case kVarint: number_ = varint(); return true;
    case kFixed64: value_ = take(8); return true;
    case kFixed32: value_ = take(4); return true;
    case kBytes: value_ = take(varint()); return true;
  }
  file_->fail(at_, "a field of a protobuf message", "one of an unknown kind");
}

void WireReader::require(WireType type) const {
  if (type_ != type) file_->fail(at_, "a field as the format has it", "one of another kind");
}

std::int64_t WireReader::integer() const {
  require(kVarint);
  return static_cast<std::int64_t>(number_);
}

float WireReader::real() const {
  require(kFixed32);
  float value = 0;
  std::memcpy(&value, value_.data(), sizeof value);
  return value;
}

std::string_view WireReader::bytes() const {
  require(kBytes);
  return value_;
}

void WireReader::append(std::vector<std::int64_t>& values) const {
  if (type_ == kVarint) return values.push_back(integer());
  WireReader packed(*file_, bytes());
  while (!packed.rest_.empty()) values.push_back(static_cast<std::int64_t>(packed.varint()));
}

void WireReader::append(std::vector<float>& values) const {
  if (type_ == kFixed32) return values.push_back(real());
  const std::string_view packed = bytes();
  if (packed.size() % sizeof(float) != 0) file_->fail(packed.data(), "floats of 4 bytes", formatted("{} bytes", packed.size()));
  const std::size_t before = values.size();
  values.resize(before + packed.size() / sizeof(float));
  if (!packed.empty()) std::memcpy(values.data() + before, packed.data(), packed.size());
}

}  // namespace gpucnn::protobuf
