#pragma once

#include <stdexcept>
#include <string>

#include <gpucnn/gpucnn.h>

/// How train_cifar ends.
enum class ExitCode {
  done = 0,
  unexpected = 1,  // a fault of the program
  usage = 2,       // a wrong option
  device = 3,      // the device asked for is not there
  data = 4,        // the data set is missing or damaged
  output = 5,      // results or standard output cannot be written, or a checkpoint is damaged or of another run
  not_finite = 6,  // the loss became NaN or infinite
  out_of_memory = 7,
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

/// Prints a message as one line on standard error. Returns `code`.
ExitCode fail(ExitCode code, const std::string& message);

/// Says of the exception that is being handled what is wrong and what to do. Returns its code.
ExitCode fail_as_caught() noexcept;
