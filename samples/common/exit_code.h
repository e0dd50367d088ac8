#pragma once

#include <stdexcept>
#include <string>

#include <gpucnn/gpucnn.h>

/// How a program ends.
enum class ExitCode {
  done = 0,
  unexpected = 1,  // a fault of the program
  usage = 2,       // a wrong option
  device = 3,      // the device asked for is not there
  data = 4,        // the data set is missing or damaged
  output = 5,      // results or standard output cannot be written, or a checkpoint is damaged or of another run
  not_finite = 6,  // the loss became NaN or infinite
  out_of_memory = 7,
  not_learned = 8,  // a check of the training found that it learns nothing
  // 128 and the number of a signal: it asked the program to end
};

/// An option that cannot be meant.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Standard output that cannot be written.
class StandardOutputError : public gpucnn::Error {
 public:
  using Error::Error;
};

/// A checkpoint that cannot be read, or is of another model.
class CheckpointError : public gpucnn::Error {
 public:
  using Error::Error;
};

/// What a program says of its failures besides what the exceptions say.
struct Program {
  const char* arguments;      ///< behind its name in "usage: "
  const char* memory_advice;  ///< what takes less memory
  const char* output_advice;  ///< where else files can be written
  /// The next step for a file that cannot be read; null: none.
  std::string (*data_advice)(const gpucnn::DataError& error) = nullptr;
  ExitCode data = ExitCode::data;  ///< for a `DataError`
};

/// To be called first. Opens /dev/null where a standard file is closed, and lets be errors what would end the program: a reader
/// that went away, a file that grows too long.
void start(const Program& program);

/// The name by which the program was started, without its folder.
const char* program_name() noexcept;

/// Lets what `fail` says name this rank of a run of several.
void name_rank(int rank);

/// Prints a message as one line on standard error. Returns `code`.
ExitCode fail(ExitCode code, const std::string& message);

/// Says of the exception that is being handled what is wrong and what to do. Returns its code.
ExitCode fail_as_caught() noexcept;

/// Prints a text on standard output. Throws `StandardOutputError`.
void print(const std::string& text);
