#include <gpucnn/distributed/neighbours.h>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <vector>

#include <gtest/gtest.h>

#include "distributed/world.h"

namespace gpucnn {
namespace {

/// Both ends of a pipe.
struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(ends.data()), 0); }
  template <class Value>
  void put(const Value& value) const {
    EXPECT_EQ(::write(ends[1], &value, sizeof(value)), static_cast<ssize_t>(sizeof(value)));
  }
  template <class Value>
  Value take() const {
    Value value{};
    EXPECT_EQ(::read(ends[0], &value, sizeof(value)), static_cast<ssize_t>(sizeof(value)));
    return value;
  }
  std::array<int, 2> ends{};
};

/// A rank in a process of its own, for a process has one place where others find it. It ends when it is told how.
struct Child {
  enum class End : char { parts, dies };

  /// Forks. The child waits for all processes, and never returns.
  explicit Child(int rank) : id(::fork()) {
    if (id != 0) return;
    Neighbours neighbours;
    from.put(Process::self());
    std::vector<Process> all;
    for (int i = 0; i < 3; ++i) all.push_back(to.take<Process>());
    neighbours.meet(rank, all, [this](int died) { seen.put(died); });
    from.put('m');
    if (to.take<End>() == End::dies) ::raise(SIGKILL);
    neighbours.part();
    ::_exit(0);
  }

  void ends(End how) const {
    to.put(how);
    ::waitpid(id, nullptr, 0);
  }

  /// Whom it sees die; -1: nobody.
  int sees() const {
    pollfd ready{.fd = seen.ends[0], .events = POLLIN, .revents = 0};
    return ::poll(&ready, 1, 10'000) == 1 ? seen.take<int>() : -1;
  }

  Pipe to, from, seen;
  pid_t id;
};

/// Whom rank 0 sees die: rank 1 ends like this, and then rank 2 dies.
int who_died(Child::End first) {
  const std::array<Child, 3> ranks{Child(0), Child(1), Child(2)};
  std::array<Process, 3> all;
  for (std::size_t i = 0; i < 3; ++i) all[i] = ranks[i].from.take<Process>();
  for (const Child& rank : ranks) {
    for (const Process& process : all) rank.to.put(process);
  }
  for (const Child& rank : ranks) EXPECT_EQ(rank.from.take<char>(), 'm');
  ranks[1].ends(first);
  int died = first == Child::End::dies ? ranks[0].sees() : -1;
  ranks[2].ends(Child::End::dies);
  if (first == Child::End::parts) died = ranks[0].sees();
  ranks[0].ends(Child::End::parts);
  return died;
}

TEST(Neighbours, NameWhoDies) {
  if (world().size() > 1) GTEST_SKIP() << "ranks of MPI may not fork";
  EXPECT_EQ(who_died(Child::End::dies), 1);
}

TEST(Neighbours, NameWhoDiesAfterAnotherHasEnded) {
  if (world().size() > 1) GTEST_SKIP() << "ranks of MPI may not fork";
  EXPECT_EQ(who_died(Child::End::parts), 2);
}

}  // namespace
}  // namespace gpucnn
