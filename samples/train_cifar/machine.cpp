#include "machine.h"

#include <ctime>
#include <fstream>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace {

/// As the kernel calls it; empty where it does not say.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> machine_rows(int threads, const std::string& device) {
  std::vector<std::pair<std::string, std::string>> rows;
  if (const std::string name = processor(); !name.empty()) rows.emplace_back("processor", name);
  rows.emplace_back("threads", std::to_string(threads));
  rows.emplace_back("device", device);
  rows.emplace_back("begun", fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(std::time(nullptr))));
  return rows;
}
