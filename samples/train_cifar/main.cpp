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
#include "session.h"

using namespace gpucnn;

namespace {

/// The next step for a file that cannot be read.
std::string data_advice(const DataError& error) {
  if (error.found().ends_with(std::generic_category().message(EACCES))) return "; it is there, but this user may not read it";
  const std::string file = std::filesystem::path(error.file()).filename().string();
  for (const char* kind : {".png", ".jpg", ".jpeg"}) {
    if (file.ends_with(kind)) return "; --skip-damaged leaves damaged images out";
  }
  const bool of_cifar10 =
      file.starts_with("data_batch_") || file == "test_batch.bin" || file == "batches.meta.txt" ||
      (error.expected().find("CIFAR-10") != std::string::npos && error.found().find("images") == std::string::npos);
  return of_cifar10 ? "; scripts/download_cifar10 DIR fetches the whole of CIFAR-10" : "";
}

UsedFolder use_of(const Options& options) {
  if (options.resume) return UsedFolder::resume;
  return options.overwrite ? UsedFolder::overwrite : UsedFolder::refuse;
}

/// Of words without the program's name.
ExitCode run(const std::vector<std::string>& words) {
  Options options = parse_options(words);
  RunFolder folder(options.out, use_of(options));
  if (const auto config = options.resume ? folder.find("config.json") : std::nullopt) options = resumed_options(words, *config);
  return Session(options, folder)();
}

}  // namespace

int main(int argc, char** argv) {
  start({.arguments = "[OPTIONS]",
         .memory_advice = "use a smaller batch (--batch-size) or fewer images (--limit)",
         .output_advice = "choose another folder with --out",
         .data_advice = data_advice});
  handle_stop_signals();
  try {
    return static_cast<int>(run(command_line::words_of(argc, argv)));
  } catch (...) {
    return static_cast<int>(fail_as_caught());
  }
}
