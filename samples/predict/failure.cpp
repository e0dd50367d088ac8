#include "failure.h"

#include <unistd.h>

#include <exception>
#include <new>
#include <system_error>

#include "common/write_all.h"

using namespace gpucnn;

namespace {

ExitCode as(ExitCode code, const std::string& message) {
  report(message);
  return code;
}

ExitCode explain_caught() try { throw; } catch (const UsageError& error) {
  report(error.what());
  write_all(STDERR_FILENO, "usage: predict --model FILE [OPTIONS] IMAGE...; predict --help explains them\n");
  return ExitCode::usage;
} catch (const StandardOutputError& error) {
  return as(ExitCode::output, error.what());
} catch (const DeviceError& error) {
  return as(ExitCode::device, error.what());
} catch (const CheckpointError& error) {
  return as(ExitCode::output, std::string(error.what()) + "; give --model a checkpoint that train_cifar wrote");
} catch (const OutOfMemory& error) {
  return as(ExitCode::out_of_memory, std::string(error.what()) + " (--batch-size)");
} catch (const std::system_error& error) {
  if (error.code() != std::errc::resource_unavailable_try_again && error.code() != std::errc::not_enough_memory) {
    return as(ExitCode::unexpected, error.what());
  }
  return as(ExitCode::out_of_memory, "the system has no room for another thread; use fewer (--threads)");
} catch (const std::bad_alloc&) {
  throw;
} catch (const std::exception& error) {
  return as(ExitCode::unexpected, error.what());
}

}  // namespace

void report(const std::string& message) { write_all(STDERR_FILENO, "predict: " + printable(message) + '\n'); }

ExitCode report_caught() noexcept try { return explain_caught(); } catch (...) {
  // There may be no memory for the words either.
  write_all(STDERR_FILENO, "predict: out of memory; use a smaller batch (--batch-size)\n");
  return ExitCode::out_of_memory;
}
