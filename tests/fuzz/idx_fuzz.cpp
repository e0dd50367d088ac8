#include <cstdlib>

#include <gpucnn/data/files/idx.h>

#include "data/files/idx_bytes.h"
#include "fuzz_target.h"
#include "memory_file.h"

using gpucnn::gzip, gpucnn::idx_bytes, gpucnn::some_numbers;

std::vector<std::string> fuzz::seeds() {
  const std::vector<std::string> raw{
      idx_bytes({5}, some_numbers(5)),
      idx_bytes({2, 3, 4}, some_numbers(24)),
      idx_bytes({2, 3, 2, 2}, some_numbers(24)),
      idx_bytes({0, 7}, {}),
      idx_bytes({60'000, 28, 28}, some_numbers(10)),
      idx_bytes({2}, some_numbers(8), 0x0D),
      idx_bytes({1, 1, 1, 1, 1, 1}, some_numbers(1)),
      idx_bytes({1U << 31, 1U << 31}, some_numbers(3)),
      idx_bytes({40, 40}, some_numbers(1'600)),
  };
  std::vector<std::string> all = raw;
  for (const std::string& text : raw) all.push_back(gzip(text));
  all.push_back(gzip(raw[0].substr(0, 6)) + gzip(raw[0].substr(6)));  // two members
  all.push_back(gzip(raw[0]) + "more");
  return all;
}

void fuzz::run(std::string_view bytes) {
  static MemoryFile file;
  file.set(bytes);
  const gpucnn::Tensor numbers = gpucnn::read_idx(file.path());
  // Every number is there to be read: the sanitizers see whether it was written and lies inside.
  unsigned sum = 0;
  for (const std::uint8_t number : numbers.to_vector<std::uint8_t>()) sum += number;
  if (sum > 255U * static_cast<unsigned long long>(numbers.numel())) std::abort();
}
