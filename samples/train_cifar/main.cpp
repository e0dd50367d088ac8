#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <gpucnn/gpucnn.h>

#include "common/command_line.h"
#include "common/exit_code.h"
#include "common/run_folder.h"
#include "common/stop_signal.h"
#include "config.h"
#include "options.h"
#include "ranks/run_ranks.h"
#include "ranks/together.h"
#include "session.h"
#include "tasks/evaluation.h"
#include "tasks/find_rate.h"
#include "tasks/overfit.h"

using namespace gpucnn;

namespace {

/// The next step for a file that cannot be read.
std::string data_advice(const DataError& error) {
  if (error.found().ends_with(std::generic_category().message(EACCES))) return "; it is there, but this user may not read it";
  const std::string file = std::filesystem::path(error.file()).filename().string();
  for (const char* kind : {".png", ".jpg", ".jpeg"}) {
    if (file.ends_with(kind) && error.found() != "a file") return "; --skip-damaged leaves damaged images out";
  }
  const bool is_missing = error.found() == "no such directory";
  if (is_missing && file.find("cifar") == std::string::npos) return "";  // of photos, perhaps
  const bool of_cifar10 =
      file.starts_with("data_batch_") || file == "test_batch.bin" || file == "batches.meta.txt" ||
      (error.expected().find("CIFAR-10") != std::string::npos && error.found().find("images") == std::string::npos);
  return of_cifar10 ? "; scripts/download_cifar10 DIR fetches the whole of CIFAR-10" : "";
}

/// Of words without the program's name, in a run of one.
ExitCode run(const Distributed& alone, std::vector<std::string> words) {
  Options options = parse_options(words);
  if (!options.config.empty()) {
    words = with_config(words, options, alone.size());
    options = parse_options(words);
  }
  if (!options.resume) require_complete(options);  // else config.json has the rest of the options
  if (options.task == Task::evaluate) return evaluate_only(options);
  if (options.task == Task::overfit_batch) return overfit_batch(options);
  if (options.task == Task::find_lr) return find_rate(options);
  RunFolder folder(options.out, use_of(options));
  if (const auto config = options.resume ? folder.find("config.json") : std::nullopt)
    options = parse_options(resumed_words(words, *config, alone.size()));
  Session session(options, folder, alone);
  if (stop_signal() != 0) return end_before_training(stop_signal());
  session.open_folder();
  return session();
}

}  // namespace

int main(int argc, char** argv) {
  start({.arguments = "[OPTIONS]",
         .memory_advice = "use a smaller batch (--batch-size) or fewer images (--limit)",
         .output_advice = "choose another folder with --out",
         .data_advice = data_advice});
  handle_stop_signals();
  try {
    const std::vector<std::string> words = command_line::words_of(argc, argv);
    const Distributed ranks = Distributed::init(argc, argv);
    return static_cast<int>(ranks.size() == 1 ? run(ranks, words) : run_ranks(ranks, words));
  } catch (const EndedElsewhere& end) {
    return static_cast<int>(end.code);
  } catch (const Interrupted&) {
    return static_cast<int>(fail(signalled(), "interrupted while the images were read; nothing was written"));
  } catch (...) {
    return static_cast<int>(fail_as_caught());
  }
}
