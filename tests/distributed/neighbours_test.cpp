#include <gpucnn/distributed/neighbours.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <future>
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

/// A rank in a process of its own. It ends when it is told how.
struct Child {
  enum class End : char { parts, dies };

  /// Forks. The child waits for all processes, and never returns.
  explicit Child(int rank) : id(::fork()) {
    if (id != 0) return;
    Neighbours neighbours;
    from.put(Process::self());
    std::vector<Process> all;
    for (int i = 0; i < 3; ++i) all.push_back(to.take<Process>());
    neighbours.meet(rank, all, [](int) {});
    from.put('m');
    if (to.take<End>() == End::dies) ::raise(SIGKILL);
    neighbours.part();
    ::_exit(0);
  }

  void ends(End how) const {
    to.put(how);
    ::waitpid(id, nullptr, 0);
  }

  Pipe to, from;
  pid_t id;
};

/// Rank 1 ends like this, and rank 2 dies once that was seen, where it is to be.
int who_died(Child::End first) {
  const Child one(1), two(2);
  Neighbours neighbours;
  const std::vector<Process> all{Process::self(), one.from.take<Process>(), two.from.take<Process>()};
  for (const Child* child : {&one, &two}) {
    for (const Process& process : all) child->to.put(process);
  }
  std::promise<int> died;
  neighbours.meet(0, all, [&](int rank) { died.set_value(rank); });
  for (const Child* child : {&one, &two}) EXPECT_EQ(child->from.take<char>(), 'm');
  auto rank = died.get_future();
  const auto seen = [&] { return rank.wait_for(std::chrono::seconds(10)) == std::future_status::ready; };
  one.ends(first);
  const bool names_it = first == Child::End::parts || seen();
  two.ends(Child::End::dies);
  return names_it && seen() ? rank.get() : -1;
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
