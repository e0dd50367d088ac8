#include "exit_code.h"

#include <cstdio>
#include <new>
#include <system_error>

using namespace gpucnn;

ExitCode fail(ExitCode code, const std::string& message) {
  std::fputs(("train_cifar: " + printable(message) + '\n').c_str(), stderr);
  return code;
}

ExitCode fail_as_caught() try { throw; } catch (const UsageError& error) {
  fail(ExitCode::usage, error.what());
  std::fputs("usage: train_cifar [OPTIONS]; train_cifar --help explains them\n", stderr);
  return ExitCode::usage;
} catch (const DeviceError& error) {
  return fail(ExitCode::device, error.what());
} catch (const DataError& error) {
  return fail(ExitCode::data, std::string(error.what()) + "; scripts/download_cifar10 DIR fetches a whole set");
} catch (const CheckpointError& error) {
  return fail(ExitCode::output, std::string(error.what()) + "; give --init a checkpoint that train_cifar wrote");
} catch (const OutputError& error) {
  return fail(ExitCode::output, std::string(error.what()) + "; make room, or choose another folder with --out");
} catch (const NonFiniteLoss& error) {
  return fail(ExitCode::not_finite, std::string(error.what()) + " (--lr); the checkpoints of earlier epochs are kept");
} catch (const OutOfMemory& error) {
  return fail(ExitCode::out_of_memory, std::string(error.what()) + " (--batch-size) or fewer images (--limit)");
} catch (const std::bad_alloc&) {
  return fail(ExitCode::out_of_memory, "out of memory; use a smaller batch (--batch-size) or fewer images (--limit)");
} catch (const std::system_error& error) {
  if (error.code() != std::errc::resource_unavailable_try_again && error.code() != std::errc::not_enough_memory) {
    return fail(ExitCode::unexpected, error.what());
  }
  return fail(ExitCode::out_of_memory, "the system has no room for another thread; use fewer (--threads)");
} catch (const std::exception& error) {
  return fail(ExitCode::unexpected, error.what());
}
