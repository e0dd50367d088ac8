#include <gtest/gtest.h>

#include <gpucnn/core/threads.h>

// Part of every test program: LeakSanitizer, which looks for leaks as a process exits, must not meet a thread that has just begun.
// It reads where such a thread's memory lies before that is known, and crashes now and then.
namespace gpucnn {
namespace {

class EndsThreads final : public ::testing::Environment {
  void TearDown() override { set_num_threads(1); }
};

const auto* const ends_threads = ::testing::AddGlobalTestEnvironment(new EndsThreads);

}  // namespace
}  // namespace gpucnn
