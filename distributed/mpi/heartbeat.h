#pragma once

#include <array>
#include <vector>

#include <gpucnn/distributed/watch.h>
#include <mpi.h>

namespace gpucnn {

/// Carries beats between rank 0 and the others. For the thread that calls MPI.
class Heartbeat {
 public:
  /// What a beat says besides.
  enum class Word : std::int32_t {
    none,
    hopeless,  // from rank 0: who has ended need not wait for the others
    last       // no beat follows
  };

  Heartbeat(MPI_Comm ranks, Watch& watch);

  /// Passes the beats that have come on to the watch.
  void receive();
  /// To rank 0, or from it to all others. One that finds its way still taken is left out.
  void send(const Beat& own, Word word = Word::none);

  /// For collectives that stand outside the order of the others.
  MPI_Comm channel() const noexcept { return channel_; }
  /// Whether rank 0 has said so.
  bool hopeless() const noexcept { return hopeless_; }
  /// Whether all that this rank hears have sent their last beat.
  bool heard_all();
  /// Whether its own beats have gone.
  bool all_sent();

 private:
  struct Message {
    Beat beat;
    Word word = Word::none;
  };

  void post();

  MPI_Comm channel_ = MPI_COMM_NULL;
  Watch& watch_;
  int rank_ = 0, size_ = 1;
  Message received_;
  MPI_Request receiving_ = MPI_REQUEST_NULL;
  std::vector<Message> messages_;  // one for each rank that it sends to
  std::vector<MPI_Request> sending_;
  int heard_last_ = 0;
  bool hopeless_ = false;
};

}  // namespace gpucnn
