#pragma once

#include <string>

namespace gpucnn {

/// How many processors the calling thread may run on, by its affinity; 0 where the system does not tell.
int affinity_processors();

/// How many processors the quotas of this process's control groups allow, rounded up; 0 without a quota. The groups are those of
/// /proc/self/cgroup and all above them, of versions 1 and 2 alike, where /proc/self/mountinfo says that they are mounted. Every
/// path is looked for under `root`.
int quota_processors(const std::string& root = "");

}  // namespace gpucnn
