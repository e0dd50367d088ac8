#pragma once

/// How train_cifar ends.
enum class ExitCode {
  done = 0,
  usage = 2,          // a wrong option
  device = 3,         // the device asked for is not there
  data = 4,           // the data set is missing or damaged
  output = 5,         // the results cannot be written, or a checkpoint is damaged
  not_finite = 6,     // the loss became NaN or infinite
  out_of_memory = 7,  //
  interrupted = 130,  // Ctrl-C
};
