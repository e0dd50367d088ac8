#pragma once

namespace gpucnn {

/// While one lives, what the calling thread shares out runs on this thread alone, and the team leaves a core to it. For threads
/// that work for long beside the one that trains: taking the team, they would hold up its kernels.
class WorksAlone {
 public:
  WorksAlone() noexcept;
  ~WorksAlone();
  WorksAlone(const WorksAlone&) = delete;
  WorksAlone& operator=(const WorksAlone&) = delete;

 private:
  bool counted_;
};

}  // namespace gpucnn
