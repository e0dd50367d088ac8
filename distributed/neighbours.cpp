#include <gpucnn/distributed/neighbours.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <utility>

#include <gpucnn/core/host/host_name.h>
#include <gpucnn/core/host/retry.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/signals_blocked.h>

namespace gpucnn {
namespace {

/// For a neighbour to connect, in milliseconds. Who does not is not watched here.
constexpr int kMaxConnect = 2000;

/// A name that no file has, unique among processes with the same sockets.
struct SocketName {
  explicit SocketName(const Process& process) {
    address.sun_family = AF_UNIX;
    const std::string name = formatted("gpucnn.{}.{}", process.id, process.id_space);
    std::ranges::copy(name, address.sun_path + 1);
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }

  sockaddr_un address{};
  socklen_t length = 0;
};

std::uint64_t name_space(const char* file) {
  struct stat status {};
  return ::stat(file, &status) == 0 ? status.st_ino : 0;
}

}  // namespace

Process Process::self() {
  Process process;
  process.id = ::getpid();
  process.id_space = name_space("/proc/self/ns/pid");
  process.network = name_space("/proc/self/ns/net");
  std::ifstream("/proc/sys/kernel/random/boot_id").getline(process.machine.data(), process.machine.size());
  host_name().copy(process.host.data(), process.host.size() - 1);
  return process;
}

std::string Process::name(int rank) const { return formatted("rank {} (process {} on {})", rank, id, host.data()); }

Neighbours::Neighbours() : listening_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), over_(::eventfd(0, EFD_CLOEXEC)) {
  const SocketName name(Process::self());
  if (::bind(listening_, name.get(), name.length) != 0 || ::listen(listening_, SOMAXCONN) != 0) {
    ::close(listening_);
    listening_ = -1;
  }
}

Neighbours::~Neighbours() {
  part();
  if (thread_.joinable()) thread_.join();
  for (const int socket : sockets_) ::close(socket);
  if (listening_ >= 0) ::close(listening_);
  ::close(over_);
}

void Neighbours::part() noexcept {
  ::eventfd_write(over_, 1);
  for (const int socket : sockets_) ::send(socket, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Neighbours::meet(int rank, const std::vector<Process>& processes, std::function<void(int)> died) {
  std::vector<int> here;
  const Process& own = processes[static_cast<std::size_t>(rank)];
  for (int other = 0; other < static_cast<int>(processes.size()); ++other) {
    if (processes[static_cast<std::size_t>(other)].shares_sockets(own)) here.push_back(other);
  }
  if (here[0] == rank) {
    accept(here.size() - 1);
  } else {
    connect(processes[static_cast<std::size_t>(here[0])], rank);
    ranks_.assign(sockets_.size(), here[0]);
  }
  const bool watches = here[0] == rank || here[1] == rank;
  if (!watches || sockets_.empty()) return;
  const SignalsBlocked blocked;
  thread_ = std::thread([this, died = std::move(died)] { watch(died); });
}

void Neighbours::accept(std::size_t count) {
  pollfd ready{.fd = listening_, .events = POLLIN, .revents = 0};
  while (sockets_.size() < count && ::poll(&ready, 1, kMaxConnect) > 0) {
    const int socket = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    int rank = 0;
    if (socket < 0) return;
    sockets_.push_back(socket);
    ranks_.push_back(::read(socket, &rank, sizeof(rank)) == sizeof(rank) ? rank : -1);
  }
}

void Neighbours::connect(const Process& first, int rank) {
  const SocketName name(first);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(socket, name.get(), name.length) == 0 && ::send(socket, &rank, sizeof(rank), MSG_NOSIGNAL) == sizeof(rank)) {
    sockets_.push_back(socket);
  } else {
    ::close(socket);
  }
}

void Neighbours::watch(const std::function<void(int)>& died) const {
  std::vector<pollfd> polled;
  for (const int socket : sockets_) polled.push_back({.fd = socket, .events = POLLIN, .revents = 0});
  polled.push_back({.fd = over_, .events = POLLIN, .revents = 0});
  while (true) {
    if (retry([&] { return ::poll(polled.data(), polled.size(), -1); }) < 0 || polled.back().revents != 0) return;
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      if (polled[i].revents == 0) continue;
      char parted = 0;
      if (::recv(sockets_[i], &parted, 1, MSG_DONTWAIT) != 1) return died(ranks_[i]);
      polled[i].fd = -1;  // which poll passes over: he may end now, the others may not
    }
  }
}

}  // namespace gpucnn
