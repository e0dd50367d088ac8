#include <gpucnn/distributed/mpi/mpi_request.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/distributed/mpi/mpi_thread.h>

namespace gpucnn {

namespace {

MPI_Datatype type_of(Communicator::Number number) {
  switch (number) {
    case Communicator::Number::f32: return MPI_FLOAT;
    case Communicator::Number::f64: return MPI_DOUBLE;
    case Communicator::Number::i32: return MPI_INT32_T;
    case Communicator::Number::i64: return MPI_INT64_T;
    case Communicator::Number::byte: break;
  }
  return MPI_BYTE;
}

MPI_Op op_of(Reduce reduction) {
  switch (reduction) {
    case Reduce::max: return MPI_MAX;
    case Reduce::min: return MPI_MIN;
    case Reduce::sum: break;
  }
  return MPI_SUM;
}

}  // namespace

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char words[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, words, &length);
  throw Error(formatted("{} failed: {}", call, std::string_view(words, static_cast<std::size_t>(length))));
}

void MpiRequest::begin(MPI_Comm ranks) {
  const Call& c = call_;
  const MPI_Datatype type = type_of(c.number);
  switch (c.kind) {
    case Kind::all_reduce:
      check_mpi(MPI_Iallreduce(MPI_IN_PLACE, c.values, c.count, type, op_of(c.reduction), ranks, &handle_), "MPI_Iallreduce");
      break;
    case Kind::broadcast: check_mpi(MPI_Ibcast(c.values, c.count, type, c.root, ranks, &handle_), "MPI_Ibcast"); break;
    case Kind::all_gather:
      check_mpi(MPI_Iallgather(c.from, c.count, type, c.values, c.count, type, ranks, &handle_), "MPI_Iallgather");
      break;
    case Kind::barrier: check_mpi(MPI_Ibarrier(ranks, &handle_), "MPI_Ibarrier"); break;
  }
}

bool MpiRequest::test() {
  int done = 0;
  check_mpi(MPI_Test(&handle_, &done, MPI_STATUS_IGNORE), "MPI_Test");
  if (!done) return false;
  done_.store(true, std::memory_order_release);
  done_.notify_all();
  return true;
}

void MpiRequest::wait() {
  if (done_.load(std::memory_order_acquire)) return;
  const MpiThread::Waiter waiter(thread_, *this);
  done_.wait(false, std::memory_order_acquire);
}

}  // namespace gpucnn
