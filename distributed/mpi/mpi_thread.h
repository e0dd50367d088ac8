#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gpucnn/distributed/communicator.h>
#include <gpucnn/distributed/mpi/heartbeat.h>
#include <gpucnn/distributed/mpi/mpi_request.h>
#include <gpucnn/distributed/neighbours.h>
#include <gpucnn/distributed/watch.h>

namespace gpucnn {

/// The one thread of a rank that calls MPI, from MPI_Init to MPI_Finalize. It moves collectives on while other threads compute,
/// which MPI does only inside of calls. It tests and sleeps by turns, since MPI's own waiting takes a whole core. It sends beats
/// and ends the run where a rank has failed.
class MpiThread {
 public:
  /// Starts MPI. Throws what went wrong with it.
  MpiThread(int argc, char** argv);
  ~MpiThread() { end(EXIT_FAILURE); }
  MpiThread(const MpiThread&) = delete;
  MpiThread& operator=(const MpiThread&) = delete;

  const Communicator::Place& place() const noexcept { return place_; }

  /// Waits until all ranks have come so far, and ends MPI. `exit_code` is that of the run if others wait for this rank.
  void end(int exit_code);

  /// Begins it behind those that were submitted before.
  void submit(std::shared_ptr<MpiRequest> request);

  void begin_long_task() noexcept { long_tasks_.fetch_add(1); }
  void end_long_task() noexcept { long_tasks_.fetch_sub(1); }

  /// The program says why this rank ends.
  void end_silently() noexcept { silent_end_ = true; }

  /// While one lives, a thread waits for the request.
  class Waiter {
   public:
    Waiter(MpiThread& thread, const MpiRequest& request);
    ~Waiter();
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

   private:
    MpiThread& thread_;
  };

 private:
  using Clock = std::chrono::steady_clock;

  void run(int argc, char** argv);
  void start(int argc, char** argv);
  void meet();
  void serve();
  void move_on();
  void pause();
  void leave();
  void beat();
  Beat own_beat();
  /// One rank has ended and can go with its own exit code; the others end behind it.
  void give_up_together(const Watch::Failure& failure);
  [[noreturn]] void fail(const std::string& sentence);
  [[noreturn]] static void abort_run(int exit_code = EXIT_FAILURE);

  Communicator::Place place_;
  MPI_Comm ranks_ = MPI_COMM_NULL;
  std::vector<std::shared_ptr<MpiRequest>> begun_;

  std::optional<Watch> watch_;
  std::optional<Heartbeat> heartbeat_;
  std::optional<Neighbours> neighbours_;
  Clock::time_point looked_, sent_;
  bool hopeless_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<MpiRequest>> submitted_;
  std::int64_t submissions_ = 0;
  const MpiRequest* awaited_ = nullptr;
  bool started_ = false, ended_ = false;
  int exit_code_ = EXIT_FAILURE;
  std::exception_ptr failure_;
  std::atomic<bool> neighbour_died_{false}, silent_end_{false};
  std::atomic<int> waiters_{0}, long_tasks_{0};
  std::thread thread_;
};

}  // namespace gpucnn
