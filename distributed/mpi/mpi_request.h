#pragma once

#include <atomic>
#include <cstdint>

#include <gpucnn/distributed/communicator.h>
#include <mpi.h>

namespace gpucnn {

class MpiThread;

/// A collective of MPI, from the call to its end.
class MpiRequest final : public Communicator::Request {
 public:
  enum class Kind { all_reduce, broadcast, all_gather, barrier };

  struct Call {
    Kind kind = Kind::barrier;
    const void* from = nullptr;  // all_gather only
    void* values = nullptr;
    int count = 0;
    Communicator::Number number = Communicator::Number::byte;
    Reduce reduction = Reduce::sum;
    int root = 0;
  };

  MpiRequest(const Call& call, MpiThread& thread) : call_(call), thread_(thread) {}

  void wait() override;

  /// For the thread that calls MPI. `test` tells whether it is done.
  void begin(MPI_Comm ranks);
  bool test();

  const Call& call() const noexcept { return call_; }

  /// Its place among all that were begun, from 1 on.
  std::int64_t place() const noexcept { return place_; }
  void set_place(std::int64_t place) noexcept { place_ = place; }

 private:
  Call call_;
  MpiThread& thread_;
  std::int64_t place_ = 0;
  MPI_Request handle_ = MPI_REQUEST_NULL;
  std::atomic<bool> done_{false};
};

/// Throws `Error` with MPI's words if `code` is no success.
void check_mpi(int code, const char* call);

}  // namespace gpucnn
