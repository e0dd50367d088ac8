#include <gpucnn/core/host/processors.h>

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace gpucnn {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

/// Whether `word` stands in a list with commas between.
bool lists(std::string_view list, std::string_view word) {
  for (std::size_t end; !list.empty(); list.remove_prefix(std::min(end + 1, list.size()))) {
    end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == word) return true;
  }
  return false;
}

/// A path as mountinfo writes it: spaces and the like stand there as a backslash and three octal digits.
std::string unescape(const std::string& written) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string path;
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (written[i] == '\\' && i + 3 < written.size() && octal(written[i + 1]) && octal(written[i + 2]) && octal(written[i + 3])) {
      path += static_cast<char>((written[i + 1] - '0') * 64 + (written[i + 2] - '0') * 8 + (written[i + 3] - '0'));
      i += 3;
    } else {
      path += written[i];
    }
  }
  return path;
}

/// A mounted hierarchy of control groups that can limit processors: its group `top` lies at `folder`.
struct Mount {
  std::string top, folder;
  bool second;  // of version 2
};

std::vector<Mount> mounts(const std::string& root) {
  std::vector<Mount> found;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), after(line.substr(dash + 3));
    std::string skipped, top, folder, type, options;
    before >> skipped >> skipped >> skipped >> top >> folder;
    after >> type >> skipped >> options;
    const bool second = type == "cgroup2";
    if (second || (type == "cgroup" && lists(options, "cpu"))) found.push_back({unescape(top), unescape(folder), second});
  }
  return found;
}

/// This process's group in the hierarchy of version 2, or in that of version 1 with the cpu controller.
std::optional<std::string> group(const std::string& root, bool second) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), last = line.find(':', first + 1);
    if (first == std::string::npos || last == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, last - first - 1);
    if (second ? controllers.empty() : lists(controllers, "cpu")) return line.substr(last + 1);
  }
  return std::nullopt;
}

/// A number of microseconds; nothing where the file lacks it, or says "max" or -1.
std::optional<double> read_time(std::istream& from) {
  double time = 0;
  if (from >> time && time > 0) return time;
  return std::nullopt;
}

/// The processors' time that one group may use in a unit of time.
double quota_of(const std::string& folder, bool second) {
  std::ifstream both(folder + "/cpu.max"), quota(folder + "/cpu.cfs_quota_us"), period(folder + "/cpu.cfs_period_us");
  const std::optional<double> allowed = read_time(second ? both : quota);
  const std::optional<double> of = read_time(second ? both : period);
  return allowed && of ? *allowed / *of : kUnlimited;
}

/// The part of `group` below `top`, which is all that a container may see of the tree. Nothing where the group lies elsewhere.
std::string below(const std::string& group, const std::string& top) {
  if (group.starts_with("/..")) return "";
  if (top == "/") return group;
  if (group == top || group.starts_with(top + "/")) return group.substr(top.size());
  return "";
}

}  // namespace

int affinity_processors() {
  // The system refuses a set that is too small for its processors, and does not say how many those are.
  constexpr int kMaxProcessors = 1 << 20;
  for (int room = CPU_SETSIZE; room <= kMaxProcessors; room *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(static_cast<std::size_t>(room)),
                                                               [](cpu_set_t* made) { CPU_FREE(made); });
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(room));
    if (!set) return 0;
    if (sched_getaffinity(0, bytes, set.get()) == 0) return CPU_COUNT_S(bytes, set.get());
    if (errno != EINVAL) return 0;
  }
  return 0;
}

int quota_processors(const std::string& root) {
  double least = kUnlimited;
  for (const Mount& mount : mounts(root)) {
    const std::optional<std::string> group_name = group(root, mount.second);
    if (!group_name) continue;
    const std::string folder = root + mount.folder;
    std::string path = below(*group_name, mount.top);
    for (;;) {
      least = std::min(least, quota_of(folder + path, mount.second));
      const std::size_t parent = path.rfind('/');
      if (parent == std::string::npos) break;
      path.resize(parent);
    }
  }
  constexpr double kMaxQuota = 1 << 20;
  return least == kUnlimited ? 0 : static_cast<int>(std::min(std::ceil(least), kMaxQuota));
}

}  // namespace gpucnn
