#include <cstdlib>
#include <string>
#include <vector>

#include <gpucnn/io/safetensors.h>

#include "fuzz_target.h"
#include "io/safetensors_bytes.h"
#include "memory_file.h"

using gpucnn::testing::entry_of;
using gpucnn::testing::file_of;
using gpucnn::testing::file_of_tensor;

namespace {

/// A header and its data, parted by the end of a line.
std::string parted(const std::string& header, const std::string& data) { return header + '\n' + data; }

/// Every element is there to be read: the sanitizers see whether it was written and lies inside.
unsigned long long sum_of(const gpucnn::StateDict& state) {
  unsigned long long sum = 0;
  for (const auto& [name, tensor] : state) {
    for (std::size_t i = 0; i < tensor.nbytes(); ++i) sum += static_cast<unsigned long long>(tensor.bytes()[i]);
  }
  return sum;
}

void read(std::string_view bytes) {
  static fuzz::MemoryFile file;
  file.set(bytes);
  const auto [state, metadata] = gpucnn::load_safetensors(file.path());
  if (sum_of(state) > 255ULL * 8 * bytes.size()) std::abort();  // a byte of a file makes 8 at most
  for (const auto& [name, why] : state.left_out()) {
    if (why.empty() || state.contains(name)) std::abort();
  }
}

}  // namespace

std::vector<std::string> fuzz::seeds() {
  const std::string eight("\1\2\3\4\5\6\7\x7F", 8);
  std::vector<std::string> all{
      "",
      "PK\x03\x04",
      "<html>",
      "version https://git-lfs",
      file_of("{}"),
      file_of_tensor("F4", "[1]", "1"),
      parted(R"({"__metadata__":{"model":"resnet9","width":"8"}})", ""),
      parted("{" + entry_of("a", "U8", "[1,1,1,1,1,1,1]", 0, 1) + "," + entry_of("b", "F32", "[2,0]", 1, 1) + "}", "1"),
      parted("{" + entry_of("a", "F16", "[1,2,1,2]", 0, 8) + "," + entry_of("b", "U64", "[1]", 8, 16) + "}", eight + eight),
      parted("{" + entry_of("a", "U8", "[9223372036854775807,2]", 0, 8) + "}", eight),
  };
  for (const char* dtype : {"F64", "I64", "U64"}) {
    all.push_back(file_of_tensor(dtype, "[1]", eight));
    all.push_back(parted("{" + entry_of("t", dtype, "[]", 0, 8) + "}", eight));
  }
  for (const char* dtype : {"F32", "I32", "U32"}) all.push_back(parted("{" + entry_of("t", dtype, "[2,1,1,1]", 0, 8) + "}", eight));
  for (const char* dtype : {"F16", "BF16", "I16", "U16"})
    all.push_back(parted("{" + entry_of("t", dtype, "[1,2,2,1]", 0, 8) + "}", eight));
  for (const char* dtype : {"U8", "I8", "BOOL", "F8_E4M3"})
    all.push_back(parted("{" + entry_of("t", dtype, "[2,4]", 0, 8) + "}", eight));
  return all;
}

// A file as it is, or one whose length is made right, for few changes to it leave that so.
void fuzz::run(std::string_view bytes) {
  const std::size_t end = bytes.find('\n');
  if (!bytes.starts_with('{') || end == std::string_view::npos) return read(bytes);
  read(file_of(std::string(bytes.substr(0, end)), std::string(bytes.substr(end + 1))));
}
