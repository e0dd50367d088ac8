#include "common/exit_code.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>
#include <system_error>

#include "common/write_all.h"

using namespace gpucnn;

namespace {

Program program{.arguments = "", .memory_advice = "", .output_advice = ""};
const char* name = "";
std::string rank_name;  // empty in a run of one

/// The next step for a file that cannot be written.
std::string advice(const OutputError& error) {
  for (const int full : {ENOSPC, EDQUOT, EFBIG}) {
    if (std::string_view(error.what()).ends_with(std::generic_category().message(full))) {
      return std::string("; make room, or ") + program.output_advice;
    }
  }
  return std::string("; ") + program.output_advice;
}

ExitCode explain_caught() try { throw; } catch (const UsageError& error) {
  fail(ExitCode::usage, error.what());
  write_all(STDERR_FILENO, std::string("usage: ") + name + ' ' + program.arguments + "; " + name + " --help explains them\n");
  return ExitCode::usage;
} catch (const StandardOutputError& error) {
  return fail(ExitCode::output, error.what());
} catch (const DeviceError& error) {
  return fail(ExitCode::device, error.what());
} catch (const DataError& error) {
  return fail(program.data, error.what() + (program.data_advice ? program.data_advice(error) : ""));
} catch (const CheckpointError& error) {
  return fail(ExitCode::output, error.what());
} catch (const OutputError& error) {
  return fail(ExitCode::output, error.what() + advice(error));
} catch (const NonFiniteLoss& error) {
  return fail(ExitCode::not_finite, std::string(error.what()) + " (--lr); checkpoints that were written before are kept");
} catch (const OutOfMemory& error) {
  const std::string_view what = error.what();  // its advice behind the semicolon is for programs without options
  return fail(ExitCode::out_of_memory, std::string(what.substr(0, what.rfind(';'))) + "; " + program.memory_advice);
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

/// Without memory for the words.
void say_no_memory() noexcept {
  for (const char* part : {name, ": out of memory; ", program.memory_advice, "\n"}) write_all(STDERR_FILENO, part);
}

/// What libraries set up before main may find no memory either, and there is nobody to catch that.
[[noreturn]] void on_terminate() noexcept {
  if (std::current_exception()) {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      say_no_memory();
      _exit(static_cast<int>(ExitCode::out_of_memory));
    } catch (...) {
    }
  }
  std::abort();
}

[[gnu::constructor(101)]] void set_terminate() {  // before all others of this program
  name = program_invocation_short_name;
  std::set_terminate(on_terminate);
}

/// A file must not be opened in place of a closed standard output or error: what is printed would go into it.
void open_standard_files() {
  int fd = 0;
  while ((fd >= 0 && fd <= STDERR_FILENO) || (fd < 0 && errno == EINTR)) fd = open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) close(fd);
}

}  // namespace

void start(const Program& started) {
  program = started;
  open_standard_files();
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

const char* program_name() noexcept { return name; }

void name_rank(int rank) { rank_name = "rank " + std::to_string(rank) + ": "; }

ExitCode fail(ExitCode code, const std::string& message) {
  write_all(STDERR_FILENO, std::string(name) + ": " + rank_name + printable(message) + '\n');
  return code;
}

ExitCode fail_as_caught() noexcept try { return explain_caught(); } catch (...) {
  say_no_memory();
  return ExitCode::out_of_memory;
}

void print(const std::string& text) {
  if (const int error = write_all(STDOUT_FILENO, text); error != 0) {
    throw StandardOutputError("standard output cannot be written: " + std::generic_category().message(error));
  }
}
