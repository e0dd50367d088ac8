#include <gpucnn/distributed/mpi/heartbeat.h>

#include <gpucnn/distributed/mpi/mpi_request.h>

namespace gpucnn {
namespace {

constexpr int kTag = 0;

}  // namespace

Heartbeat::Heartbeat(MPI_Comm ranks, Watch& watch) : watch_(watch) {
  check_mpi(MPI_Comm_dup(ranks, &channel_), "MPI_Comm_dup");
  check_mpi(MPI_Comm_rank(channel_, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(channel_, &size_), "MPI_Comm_size");
  messages_.resize(rank_ == 0 ? static_cast<std::size_t>(size_ - 1) : 1);
  sending_.resize(messages_.size(), MPI_REQUEST_NULL);
  if (size_ > 1) post();
}

void Heartbeat::post() {
  check_mpi(MPI_Irecv(&received_, sizeof(received_), MPI_BYTE, rank_ == 0 ? MPI_ANY_SOURCE : 0, kTag, channel_, &receiving_),
            "MPI_Irecv");
}

void Heartbeat::receive() {
  while (receiving_ != MPI_REQUEST_NULL) {
    int came = 0;
    MPI_Status status;
    check_mpi(MPI_Test(&receiving_, &came, &status), "MPI_Test");
    if (!came) return;
    watch_.hear(status.MPI_SOURCE, received_.beat);
    hopeless_ |= received_.word == Word::hopeless;
    heard_last_ += received_.word == Word::last;
    if (heard_last_ < static_cast<int>(messages_.size())) post();
  }
}

void Heartbeat::send(const Beat& own, Word word) {
  if (size_ == 1) return;
  for (std::size_t i = 0; i < messages_.size(); ++i) {
    int gone = 0;
    check_mpi(word == Word::last ? MPI_Wait(&sending_[i], MPI_STATUS_IGNORE) : MPI_Test(&sending_[i], &gone, MPI_STATUS_IGNORE),
              "MPI_Test");
    if (sending_[i] != MPI_REQUEST_NULL) continue;
    messages_[i] = {.beat = own, .word = word};
    const int to = rank_ == 0 ? static_cast<int>(i) + 1 : 0;
    check_mpi(MPI_Isend(&messages_[i], sizeof(Message), MPI_BYTE, to, kTag, channel_, &sending_[i]), "MPI_Isend");
  }
}

bool Heartbeat::heard_all() {
  receive();
  return receiving_ == MPI_REQUEST_NULL;
}

bool Heartbeat::all_sent() {
  int gone = 0;
  check_mpi(MPI_Testall(static_cast<int>(sending_.size()), sending_.data(), &gone, MPI_STATUSES_IGNORE), "MPI_Testall");
  return gone;
}

}  // namespace gpucnn
