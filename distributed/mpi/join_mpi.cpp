#include <utility>

#include <gpucnn/distributed/communicator.h>
#include <gpucnn/distributed/mpi/mpi_request.h>
#include <gpucnn/distributed/mpi/mpi_thread.h>

namespace gpucnn {
namespace {

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(int argc, char** argv) : thread_(argc, argv) {}

  const Place& place() const noexcept override { return thread_.place(); }

  RequestPtr begin_all_reduce(void* values, std::size_t count, Number number, Reduce reduction) override {
    return begin({.kind = MpiRequest::Kind::all_reduce,
                  .values = values,
                  .count = static_cast<int>(count),
                  .number = number,
                  .reduction = reduction});
  }
  RequestPtr begin_broadcast(void* bytes, std::size_t count, int root) override {
    return begin({.kind = MpiRequest::Kind::broadcast, .values = bytes, .count = static_cast<int>(count), .root = root});
  }
  RequestPtr begin_all_gather(const void* bytes, void* gathered, std::size_t count) override {
    return begin({.kind = MpiRequest::Kind::all_gather, .from = bytes, .values = gathered, .count = static_cast<int>(count)});
  }
  RequestPtr begin_barrier() override { return begin({}); }
  void begin_long_task() override { thread_.begin_long_task(); }
  void end_long_task() override { thread_.end_long_task(); }
  void end_silently() noexcept override { thread_.end_silently(); }
  void leave(int exit_code) override { thread_.end(exit_code); }

 private:
  RequestPtr begin(const MpiRequest::Call& call) {
    auto request = std::make_shared<MpiRequest>(call, thread_);
    thread_.submit(request);
    return request;
  }

  MpiThread thread_;
};

}  // namespace

std::shared_ptr<Communicator> join_mpi(int argc, char** argv) { return std::make_shared<MpiCommunicator>(argc, argv); }

}  // namespace gpucnn
