#include <cstdlib>

#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/shard_index.h>

#include "fuzz_target.h"

std::vector<std::string> fuzz::seeds() {
  return {R"({"metadata":{"total_size":12},"weight_map":{"a.weight":"model-00001-of-00002.safetensors","b":"x"}})",
          R"({"weight_map":{"a":"../a"}})",
          R"({"weight_map":{"a":"/a"},"weight_map":{}})",
          R"({"weight_map":{"a":"b","a":"c"}})",
          R"({"weight_map":[{"a":1}]})",
          R"({"x":[[[[{"weight_map":{"a":1e999}}]]]],"weight_map":{"\u0000":"\ud83d\ude00"}})",
          R"([{"weight_map":{}}])",
          "",
          "{",
          "null"};
}

void fuzz::run(std::string_view bytes) {
  for (const auto& [name, file] : gpucnn::safetensors::parse_shard_index("index", std::string(bytes))) {
    if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos ||
        file.find('\0') != std::string::npos) {
      std::abort();
    }
    if (!gpucnn::is_utf8(name) || !gpucnn::is_utf8(file)) std::abort();
  }
}
