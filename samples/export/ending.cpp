#include "ending.h"

#include <unistd.h>

#include <exception>
#include <new>
#include <system_error>

#include "common/write_all.h"

using namespace gpucnn;

namespace {

ExitCode end_with(ExitCode code, const std::string& message) {
  write_all(STDERR_FILENO, "export: " + printable(message) + '\n');
  return code;
}

ExitCode explain_caught() try { throw; } catch (const UsageError& error) {
  end_with(ExitCode::usage, error.what());
  write_all(STDERR_FILENO, "usage: export --model FILE (--onnx FILE | --c FILE); export --help explains the options\n");
  return ExitCode::usage;
} catch (const StandardOutputError& error) {
  return end_with(ExitCode::output, error.what());
} catch (const DataError& error) {
  return end_with(ExitCode::output, std::string(error.what()) + "; give --model a checkpoint that train_cifar wrote");
} catch (const OutputError& error) {
  return end_with(ExitCode::output, std::string(error.what()) + "; choose another place with --onnx or --c");
} catch (const OutOfMemory& error) {
  return end_with(ExitCode::out_of_memory, error.what());
} catch (const std::bad_alloc&) {
  throw;
} catch (const std::exception& error) {
  return end_with(ExitCode::unexpected, error.what());
}

}  // namespace

void print(const std::string& text) {
  if (const int error = write_all(STDOUT_FILENO, text); error != 0) {
    throw StandardOutputError("standard output cannot be written: " + std::generic_category().message(error));
  }
}

ExitCode say_what_is_wrong() noexcept try { return explain_caught(); } catch (...) {
  write_all(STDERR_FILENO, "export: out of memory\n");  // there may be none for other words
  return ExitCode::out_of_memory;
}
