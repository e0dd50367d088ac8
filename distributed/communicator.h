#pragma once

#include <cstddef>
#include <memory>

#include <gpucnn/distributed/distributed.h>

namespace gpucnn {

class NcclCommunicator;

/// How a rank reaches the others: the collectives behind Distributed, on memory of the host.
class Communicator {
 public:
  struct Place {
    int rank = 0, size = 1, local_rank = 0, local_size = 1;
  };

  enum class Number { f32, f64, i32, i64, byte };

  /// A collective that was begun. Its memory must stay until it is done.
  class Request {
   public:
    virtual ~Request() = default;
    virtual void wait() = 0;
  };
  using RequestPtr = std::shared_ptr<Request>;

  virtual ~Communicator() = default;

  virtual const Place& place() const noexcept = 0;

  /// They begin in the order of the calls. In place.
  virtual RequestPtr begin_all_reduce(void* values, std::size_t count, Number number, Reduce reduce) = 0;
  virtual RequestPtr begin_broadcast(void* bytes, std::size_t count, int root) = 0;
  /// `count` bytes of each rank, to `count` times `size` bytes.
  virtual RequestPtr begin_all_gather(const void* bytes, void* gathered, std::size_t count) = 0;
  virtual RequestPtr begin_barrier() = 0;

  /// How it reaches them from its GPU, once it has. In builds with CUDA.
  std::shared_ptr<NcclCommunicator> gpu;

  /// Between the two, which may be nested, no rank fails because it waits for this one.
  virtual void begin_long_task() = 0;
  virtual void end_long_task() = 0;

  /// The program says itself why this rank ends.
  virtual void end_silently() noexcept = 0;

  /// Waits until all ranks have come so far, and leaves the run. Nothing is called after it. Where others wait in vain for this
  /// rank the whole run ends with `exit_code`, or with 1 if that is 0.
  virtual void leave(int exit_code) = 0;
};

/// A run of one process.
std::shared_ptr<Communicator> alone();

/// Joins the run that MPI's launcher started. In builds with MPI.
std::shared_ptr<Communicator> join_mpi(int argc, char** argv);

}  // namespace gpucnn
