#include "common/exit_code.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>
#include <system_error>

#include "common/write_all.h"

using namespace gpucnn;

namespace {

bool is_reason(const std::string& message, int error) { return message.ends_with(std::generic_category().message(error)); }

/// The next step for a file that cannot be read.
std::string advice(const DataError& error) {
  if (is_reason(error.found(), EACCES)) return "; it is there, but this user may not read it";
  const std::string file = std::filesystem::path(error.file()).filename().string();
  for (const char* kind : {".png", ".jpg", ".jpeg"}) {
    if (file.ends_with(kind)) return "; --skip-damaged leaves damaged images out";
  }
  const bool of_cifar10 =
      file.starts_with("data_batch_") || file == "test_batch.bin" || file == "batches.meta.txt" ||
      (error.expected().find("CIFAR-10") != std::string::npos && error.found().find("images") == std::string::npos);
  return of_cifar10 ? "; scripts/download_cifar10 DIR fetches the whole of CIFAR-10" : "";
}

/// The next step for a file that cannot be written.
std::string advice(const OutputError& error) {
  for (const int full : {ENOSPC, EDQUOT, EFBIG}) {
    if (is_reason(error.what(), full)) return "; make room, or choose another folder with --out";
  }
  return "; choose another folder with --out";
}

ExitCode explain_caught() try { throw; } catch (const UsageError& error) {
  fail(ExitCode::usage, error.what());
  write_all(STDERR_FILENO, "usage: train_cifar [OPTIONS]; train_cifar --help explains them\n");
  return ExitCode::usage;
} catch (const StandardOutputError& error) {
  return fail(ExitCode::output, error.what());
} catch (const DeviceError& error) {
  return fail(ExitCode::device, error.what());
} catch (const DataError& error) {
  return fail(ExitCode::data, error.what() + advice(error));
} catch (const CheckpointError& error) {
  return fail(ExitCode::output, error.what());
} catch (const OutputError& error) {
  return fail(ExitCode::output, error.what() + advice(error));
} catch (const NonFiniteLoss& error) {
  return fail(ExitCode::not_finite, std::string(error.what()) + " (--lr); checkpoints that were written before are kept");
} catch (const OutOfMemory& error) {
  return fail(ExitCode::out_of_memory, std::string(error.what()) + " (--batch-size) or fewer images (--limit)");
} catch (const std::system_error& error) {
  if (error.code() != std::errc::resource_unavailable_try_again && error.code() != std::errc::not_enough_memory) {
    return fail(ExitCode::unexpected, error.what());
  }
  return fail(ExitCode::out_of_memory, "the system has no room for another thread; use fewer (--threads)");
} catch (const std::bad_alloc&) {
  throw;
} catch (const std::exception& error) {
  return fail(ExitCode::unexpected, error.what());
}

constexpr std::string_view kNoMemory = "train_cifar: out of memory; use a smaller batch (--batch-size) or fewer images (--limit)\n";

/// What libraries set up before main may find no memory either, and there is nobody to catch that.
[[noreturn]] void on_terminate() noexcept {
  if (std::current_exception()) {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      write_all(STDERR_FILENO, kNoMemory);
      _exit(static_cast<int>(ExitCode::out_of_memory));
    } catch (...) {
    }
  }
  std::abort();
}

[[gnu::constructor(101)]] void set_terminate() { std::set_terminate(on_terminate); }  // before all others of this program

}  // namespace

ExitCode fail(ExitCode code, const std::string& message) {
  write_all(STDERR_FILENO, "train_cifar: " + printable(message) + '\n');
  return code;
}

ExitCode fail_as_caught() noexcept try { return explain_caught(); } catch (...) {
  // There may be no memory for the words either.
  write_all(STDERR_FILENO, kNoMemory);
  return ExitCode::out_of_memory;
}
