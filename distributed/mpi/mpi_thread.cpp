#include <gpucnn/distributed/mpi/mpi_thread.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/core/threads/signals_blocked.h>

namespace gpucnn {
namespace {

using namespace std::chrono_literals;

/// While nothing is under way.
constexpr auto kIdlePause = 250ms;
/// Between two looks at what is under way while this rank computes, maybe on the same core. With as many ranks as cores a step of
/// 100 ms with eight sums of 1 MB takes 109 to 114 ms. With MPI's own waiting in this thread it takes 126 to 131 ms, and about the
/// same as here if the computing thread calls MPI between its stages.
constexpr auto kPause = 500us;
/// The same while this rank waits. It sleeps then, too: sched_yield keeps a core that another thread wants for up to 4 ms on Linux
/// 6.18. Two ranks of SimpleCNN on two cores, 1,024 images: 23,300 images/s with yields before each pause, 27,600 without.
constexpr auto kWaitingPause = 20us;
/// Between two beats.
constexpr auto kBeat = 1s;
/// From the end of a rank to that of the next, where the launcher ends all because one has died on another machine. Who still runs
/// then has seen that death itself.
constexpr auto kLauncherPace = 50ms;
/// For the launcher, or a rank whose program has ended, to end the run with an exit code of its own.
constexpr auto kTimeToExit = 2s;
/// How long MPI_Abort may take.
constexpr auto kMaxAbort = 4s;
/// While ranks leave together.
constexpr auto kLeavePause = 1ms;

/// Seconds from the environment: for whoever stops a rank in a debugger.
std::chrono::seconds max_wait() {
  constexpr int kMinSeconds = 3, kMaxSeconds = 86400;  // a beat may be a second late
  const char* text = std::getenv("GPUCNN_RANK_TIMEOUT");
  if (!text) return Watch::kMaxWait;
  int seconds = 0;
  const char* const end = text + std::strlen(text);
  const auto [stop, failure] = std::from_chars(text, end, seconds);
  const bool is_number = failure == std::errc{} && stop == end;
  if (is_number && (seconds == 0 || (seconds >= kMinSeconds && seconds <= kMaxSeconds))) return std::chrono::seconds(seconds);
  throw Error(formatted("GPUCNN_RANK_TIMEOUT must be 0 or a number of seconds from {} to {}, and is '{}'", kMinSeconds, kMaxSeconds,
                        printable(text, kMaxNameBytes)));
}

/// In one piece, lest lines of several ranks mix. A program may have left its own line open.
void say(const std::string& sentence) {
  const std::string line = "\ngpucnn: " + sentence + "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

MpiThread::MpiThread(int argc, char** argv) {
  {
    const SignalsBlocked blocked;
    thread_ = std::thread([this, argc, argv] { run(argc, argv); });
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return started_ || failure_; });
  if (!failure_) return;
  lock.unlock();
  thread_.join();
  std::rethrow_exception(failure_);
}

void MpiThread::end(int exit_code) {
  if (!thread_.joinable()) return;
  if (std::this_thread::get_id() == thread_.get_id()) {  // MPI_Abort may call exit
    thread_.detach();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (exit_code != EXIT_SUCCESS) exit_code_ = exit_code;
  }
  changed_.notify_all();
  thread_.join();
}

void MpiThread::submit(std::shared_ptr<MpiRequest> request) {
  {
    const std::lock_guard lock(mutex_);
    request->set_place(++submissions_);
    submitted_.push_back(std::move(request));
  }
  changed_.notify_all();
}

MpiThread::Waiter::Waiter(MpiThread& thread, const MpiRequest& request) : thread_(thread) {
  {
    const std::lock_guard lock(thread_.mutex_);
    thread_.awaited_ = &request;
  }
  thread_.waiters_.fetch_add(1, std::memory_order_relaxed);
  thread_.changed_.notify_all();
}

MpiThread::Waiter::~Waiter() {
  thread_.waiters_.fetch_sub(1, std::memory_order_relaxed);
  const std::lock_guard lock(thread_.mutex_);
  thread_.awaited_ = nullptr;
}

void MpiThread::run(int argc, char** argv) {
  try {
    start(argc, argv);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
    return;
  }
  try {
    serve();
    leave();
  } catch (const std::exception& error) {
    fail(formatted("rank {}: {}", place_.rank, error.what()));
  }
}

void MpiThread::start(int argc, char** argv) {
  int already = 0;
  check_mpi(MPI_Initialized(&already), "MPI_Initialized");
  if (already) throw std::logic_error("Distributed::init starts MPI, which was started already");
  int level = 0;
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level), "MPI_Init_thread");
  if (level < MPI_THREAD_FUNNELED) throw DeviceError("this MPI works in no program that has threads (MPI_THREAD_FUNNELED)");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &ranks_), "MPI_Comm_dup");
  check_mpi(MPI_Comm_rank(ranks_, &place_.rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(ranks_, &place_.size), "MPI_Comm_size");
  MPI_Comm local = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(ranks_, MPI_COMM_TYPE_SHARED, place_.rank, MPI_INFO_NULL, &local), "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(local, &place_.local_rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(local, &place_.local_size), "MPI_Comm_size");
  check_mpi(MPI_Comm_free(&local), "MPI_Comm_free");
  meet();
  heartbeat_.emplace(ranks_, *watch_);
  looked_ = sent_ = Clock::now();
  const std::lock_guard lock(mutex_);
  started_ = true;
  changed_.notify_all();
}

void MpiThread::meet() {
  neighbours_.emplace();
  const Process own = Process::self();
  std::vector<Process> all(static_cast<std::size_t>(place_.size));
  check_mpi(MPI_Allgather(&own, sizeof(own), MPI_BYTE, all.data(), sizeof(own), MPI_BYTE, ranks_), "MPI_Allgather");
  std::vector<std::string> names;
  names.reserve(all.size());
  for (int rank = 0; rank < place_.size; ++rank) names.push_back(all[static_cast<std::size_t>(rank)].name(rank));
  watch_.emplace(place_.rank, std::move(names), max_wait());
  const bool apart = !std::ranges::all_of(all, [&](const Process& process) { return process.shares_sockets(own); });
  neighbours_->meet(place_.rank, all, [this, apart](int rank) {
    neighbours_->part();  // who watches this rank may see it end next
    if (apart) std::this_thread::sleep_for(kLauncherPace);
    say(formatted("{} has died", watch_->name(rank)));
    neighbour_died_ = true;
  });
}

void MpiThread::serve() {
  while (true) {
    move_on();
    beat();
    {
      const std::lock_guard lock(mutex_);
      if (ended_ && submitted_.empty() && begun_.empty()) return;
    }
    pause();
  }
}

void MpiThread::move_on() {
  std::deque<std::shared_ptr<MpiRequest>> fresh;
  {
    const std::lock_guard lock(mutex_);
    fresh.swap(submitted_);
  }
  for (auto& request : fresh) {
    request->begin(ranks_);
    begun_.push_back(std::move(request));
  }
  std::erase_if(begun_, [](const auto& request) { return request->test(); });
}

void MpiThread::pause() {
  const bool waiting = waiters_.load(std::memory_order_relaxed) > 0;
  std::unique_lock lock(mutex_);
  if (!submitted_.empty() || ended_) return;
  if (begun_.empty()) {
    changed_.wait_for(lock, kIdlePause);
  } else {
    changed_.wait_for(lock, waiting ? kWaitingPause : kPause);
  }
}

void MpiThread::leave() {
  heartbeat_->send(own_beat());
  MpiRequest all_have_ended({}, *this);
  all_have_ended.begin(heartbeat_->channel());
  while (!all_have_ended.test()) {
    if (hopeless_ || heartbeat_->hopeless()) abort_run(exit_code_);
    beat();
    std::this_thread::sleep_for(kLeavePause);
  }
  // Nobody ends before all have stopped to watch.
  neighbours_->part();
  const bool is_main = place_.rank == 0;
  if (!is_main) heartbeat_->send(own_beat(), Heartbeat::Word::last);
  while (!heartbeat_->heard_all()) std::this_thread::sleep_for(kLeavePause);
  if (is_main) heartbeat_->send(own_beat(), Heartbeat::Word::last);
  while (!heartbeat_->all_sent()) std::this_thread::sleep_for(kLeavePause);
  MPI_Finalize();
}

void MpiThread::beat() {
  const Clock::time_point now = Clock::now();
  const auto passed = now - looked_;
  if (passed < kIdlePause) return;
  looked_ = now;
  if (neighbour_died_) {  // the launcher ends the run by itself, or does not
    std::this_thread::sleep_for(kTimeToExit);
    abort_run();
  }
  heartbeat_->receive();
  if (heartbeat_->hopeless()) neighbours_->part();
  const Beat own = own_beat();
  watch_->hear(place_.rank, own);
  if (now - sent_ >= kBeat) {
    heartbeat_->send(own);
    sent_ = now;
  }
  // A process that was stopped itself knows nothing of the others in that time.
  const auto failure = watch_->judge(std::min<Clock::duration>(passed, kBeat));
  if (!failure) return;
  if (failure->ended) {
    give_up_together(*failure);
  } else {
    fail(failure->sentence);
  }
}

Beat MpiThread::own_beat() {
  const std::lock_guard lock(mutex_);
  Beat own{.begun = submissions_};
  if (awaited_) {
    const MpiRequest::Call& call = awaited_->call();
    own.waits_for = awaited_->place();
    own.count = call.count;
    own.call = 100 * static_cast<int>(call.kind) + static_cast<int>(call.number);
  }
  if (long_tasks_.load() > 0) own.state = Beat::State::in_long_task;
  if (ended_) own.state = silent_end_ ? Beat::State::explained : Beat::State::ended;
  return own;
}

void MpiThread::give_up_together(const Watch::Failure& failure) {
  if (!failure.sentence.empty()) say(failure.sentence);
  neighbours_->part();
  heartbeat_->send(own_beat(), Heartbeat::Word::hopeless);
  if (failure.rank == place_.rank) {
    hopeless_ = true;
    return;
  }
  for (const auto end = Clock::now() + kTimeToExit; Clock::now() < end; std::this_thread::sleep_for(kLeavePause))
    heartbeat_->all_sent();
  abort_run();
}

void MpiThread::fail(const std::string& sentence) {
  neighbours_->part();
  say(sentence);
  abort_run();
}

void MpiThread::abort_run(int exit_code) {
  // MPI may wait for a network that is no more.
  std::thread([exit_code] {
    std::this_thread::sleep_for(kMaxAbort);
    ::_exit(exit_code);
  }).detach();
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  ::_exit(exit_code);
}

}  // namespace gpucnn
