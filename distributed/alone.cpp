#include <cstring>

#include <gpucnn/distributed/communicator.h>

namespace gpucnn {
namespace {

class Alone final : public Communicator {
 public:
  const Place& place() const noexcept override { return place_; }

  RequestPtr begin_all_reduce(void*, std::size_t, Number, Reduce) override { return done(); }
  RequestPtr begin_broadcast(void*, std::size_t, int) override { return done(); }
  RequestPtr begin_all_gather(const void* bytes, void* gathered, std::size_t count) override {
    if (count > 0) std::memcpy(gathered, bytes, count);
    return done();
  }
  RequestPtr begin_barrier() override { return done(); }
  void begin_long_task() override {}
  void end_long_task() override {}
  void end_silently() noexcept override {}
  void leave(int) override {}

 private:
  class Done final : public Request {
   public:
    void wait() override {}
  };

  /// One for all: a step on one process asks for no memory.
  RequestPtr done() const { return done_; }

  Place place_;
  RequestPtr done_ = std::make_shared<Done>();
};

}  // namespace

std::shared_ptr<Communicator> alone() {
  static const auto the_one = std::make_shared<Alone>();
  return the_one;
}

}  // namespace gpucnn
