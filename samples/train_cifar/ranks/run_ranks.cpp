#include "run_ranks.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "common/run_folder.h"
#include "common/stop_signal.h"
#include "train_cifar/config.h"
#include "train_cifar/options.h"
#include "train_cifar/ranks/threads.h"
#include "train_cifar/ranks/together.h"
#include "train_cifar/ranks/words.h"
#include "train_cifar/session.h"

using namespace gpucnn;

namespace {

/// A rank that is not rank 0.
class Helper : private Training {
 public:
  using Training::require_same_data;
  using Training::Training;
  void operator()() try { fit(fit_options()); } catch (const NonFiniteLoss&) {  // all ranks throw it, and rank 0 says it
    throw EndedElsewhere{ExitCode::not_finite};
  }
};

bool is_usable(Device device) {
  try {
    device.require();
    return true;
  } catch (const DeviceError&) {
    return false;
  }
}

/// Each rank's own GPU; the CPU where that is asked for, or where nobody asks for a GPU and no rank has one.
std::string device_of(const Distributed& ranks, const Options& options) {
  if (options.device == "cpu") return options.device;
  if (options.device == "auto") {
    const bool has_gpu = is_usable(Device::cuda(ranks.local_rank())) || is_usable(Device::cuda());
    if (std::ranges::count(ranks.all_gather(has_gpu ? "GPU" : ""), "GPU") == 0) return options.device;
  }
  return ranks.gpu().string();
}

/// The command line of the run, with what a config.json adds, on every rank. Opens the folder on rank 0.
std::vector<std::string> run_words(const Distributed& ranks, std::vector<std::string> words, std::optional<RunFolder>& folder) {
  together(ranks, [&] { require_same_words(ranks, words); });
  together(ranks, [&] {
    Options options = parse_options(words);
    if (options.task != Task::train)
      throw UsageError("--eval-only, --overfit-batch and --find-lr: are for one process, without mpirun");
    if (!ranks.is_main()) return;
    if (!options.config.empty()) options = parse_options(words = with_config(words, options, ranks.size()));
    if (!options.resume) require_complete(options);
    folder.emplace(options.out, use_of(options));
    const auto config = options.resume ? folder->find("config.json") : std::nullopt;
    if (config) words = resumed_words(words, *config, ranks.size());
  });
  return words_of_main(ranks, words);
}

Options options_of(const Distributed& ranks, const std::vector<std::string>& words) {
  Options options;
  together(ranks, [&] { options = parse_options(words); });
  options.world = ranks.size();
  options.threads = threads_of(ranks, options);
  together(ranks, [&] { options.device = device_of(ranks, options); });
  options.quiet = options.quiet || !ranks.is_main();
  return options;
}

}  // namespace

ExitCode run_ranks(const Distributed& ranks, std::vector<std::string> words) try {
  if (!ranks.is_main()) {
    name_rank(ranks.rank());
    if (!std::freopen("/dev/null", "w", stdout)) return fail(ExitCode::unexpected, "/dev/null cannot be opened");
  }
  std::optional<RunFolder> folder;
  words = run_words(ranks, std::move(words), folder);
  const Options options = options_of(ranks, words);
  std::optional<Session> session;  // of rank 0
  std::optional<Helper> helper;    // of another
  together(ranks, [&] {
    if (ranks.is_main()) {
      session.emplace(options, *folder, ranks);
    } else {
      helper.emplace(options, ranks);
    }
  });
  together(ranks, [&] { session ? session->require_same_data() : helper->require_same_data(); });
  // From here on a signal is `fit`'s: all ranks train, or none does.
  if (const int signal = stop_signal_of(ranks)) return session ? end_before_training(signal) : ExitCode::done;
  together(ranks, [&] {
    if (session) session->open_folder();
  });
  const bool is_done = session && session->is_done();
  if (ranks.broadcast(is_done ? "done" : "").empty() && helper) (*helper)();
  return session ? (*session)() : ExitCode::done;
} catch (const EndedElsewhere&) {
  throw;
} catch (...) {
  const ExitCode code = fail_as_caught();
  ranks.end_silently();
  return code;
}
