#include "threads.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

using namespace gpucnn;

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

/// As "0-7,16"; empty where the system does not say. What a launcher binds a rank to shows here.
std::string allowed_processors() {
  constexpr std::string_view kField = "Cpus_allowed_list:";
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kField)) return line.substr(kField.size());
  }
  return {};
}

}  // namespace

int threads_of(const Distributed& ranks, const Options& options) {
  if (std::ranges::find(options.given, "--threads") != options.given.end()) return options.threads;
  // Ranks of one machine that may run on the same processors share them.
  const std::string own = host_name() + allowed_processors();
  const std::vector<std::string> all = ranks.all_gather(own);
  return std::max(1, options.threads / static_cast<int>(std::ranges::count(all, own)));
}
