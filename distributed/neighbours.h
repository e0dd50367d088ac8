#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace gpucnn {

/// A rank's process, in a form that can be sent as it lies.
struct Process {
  std::int64_t id = 0;
  std::uint64_t id_space = 0, network = 0;  // the kernel's namespaces: that of `id`, and that of its sockets
  std::array<char, 40> machine{};           // unique for each start of a kernel
  std::array<char, 64> host{};              // its name, for people

  static Process self();
  /// "rank 1 (process 42 on node7)".
  std::string name(int rank) const;
  bool shares_sockets(const Process& other) const { return machine == other.machine && network == other.network; }
};

/// Sees at once when a rank on this machine dies, which launchers tell without saying the rank. All ranks of a machine have a
/// socket to the first of them, which the kernel closes with the process, before the launcher hears of its end. The first watches
/// the others, and the second the first.
class Neighbours {
 public:
  /// Opens what the others connect to.
  Neighbours();
  /// By `part`.
  ~Neighbours();
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;

  /// Connects with those whose constructor has returned. `died(rank)` is called once at most, in a thread of this.
  void meet(int rank, const std::vector<Process>& processes, std::function<void(int)> died);

  /// Tells them that this process ends, or the whole run. From here on nobody watches him, nor does he watch.
  void part() noexcept;

 private:
  void accept(std::size_t count);
  void connect(const Process& first, int rank);
  void watch(const std::function<void(int)>& died) const;

  int listening_ = -1, over_ = -1;
  std::vector<int> ranks_, sockets_;  // to these ranks
  std::thread thread_;
};

}  // namespace gpucnn
