// exit_amid_work MILLISECONDS RUNS: starts this program again so many times. Each time threads that nobody joins train while main
// returns, at another moment. Prints how often it ended otherwise than by returning.
//
// Before main, a static object has been made whose destructor comes after those of libraries: it computes a convolution of a new
// shape and one that was there before, forward and backward, which must give what they gave.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <gpucnn/gpucnn.h>

namespace {

using namespace gpucnn;

constexpr Conv2dOptions kWide{.kernel_size = 5, .padding = 2}, kGroups{.kernel_size = 3, .stride = 2, .padding = 1, .groups = 2};

/// A convolution's result and all its gradients.
std::vector<float> results(Conv2d& conv, const Shape& shape) {
  conv.zero_grad();
  const Tensor x = Tensor::randn(shape, 7), y = conv(x), dx = conv.backward(y);
  std::vector<float> all = y.to_vector<float>();
  for (const Tensor& more : {dx, conv.parameters()[0].grad(), conv.parameters()[1].grad()}) {
    const std::vector<float> values = more.to_vector<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

class Late {
 public:
  void begin() {
    for (auto& [conv, shape, expected] : cases_) expected = results(conv, shape);
    begun_ = true;
  }
  ~Late() {
    if (!begun_) return;
    for (auto& [conv, shape, expected] : cases_) {
      if (!close(results(conv, shape), expected)) std::_Exit(3);
      Conv2d other(static_cast<int>(shape[1]), 6, conv.options());
      results(other, shape.with(0, 5));
    }
  }

 private:
  struct Case {
    Conv2d conv;
    Shape shape;
    std::vector<float> expected;
  };

  static bool close(const std::vector<float>& some, const std::vector<float>& others) {
    float largest = 1, difference = 0;
    for (std::size_t i = 0; i < some.size(); ++i) {
      largest = std::max(largest, std::abs(others[i]));
      difference = std::max(difference, std::abs(some[i] - others[i]));
    }
    return some.size() == others.size() && difference < 1e-5F * largest;
  }

  std::vector<Case> cases_ = [] {
    std::vector<Case> all;
    all.push_back({Conv2d(3, 8, kWide), {2, 3, 9, 7}, {}});
    all.push_back({Conv2d(4, 6, kGroups), {3, 4, 8, 11}, {}});
    return all;
  }();
  bool begun_ = false;
};
Late late;

/// Trains a network on batches of a size that changes with every step.
template <class Make>
[[noreturn]] void train(Make make, std::int64_t channels) {
  auto model = make();
  for (std::int64_t N = 1;; N = N % 9 + 1) {
    const Tensor y = model(Tensor::randn({N, channels, 32, 32}, 1));
    model.backward(y);
  }
}

[[noreturn]] void make_networks() {
  for (std::int64_t N = 1;; N = N % 9 + 1) {
    Conv2d conv(8, 16, N % 2 ? kWide : kGroups);
    const Tensor y = conv(Tensor::randn({N, 8, 16 + N, 16}, 1));
    conv.backward(y);
  }
}

int end_after(int microseconds, int work) {
  set_num_threads(2);
  if (microseconds % 2) late.begin();
  if (work == 0) std::thread([] { train([] { return SimpleCNN(); }, 3); }).detach();
  if (work != 1) std::thread([] { train([] { return Conv2d(8, 16, kWide); }, 8); }).detach();
  if (work != 0) std::thread(make_networks).detach();
  if (work == 2) std::thread(make_networks).detach();
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "end") == 0) return end_after(std::atoi(argv[2]), std::atoi(argv[3]));
  if (argc != 3) return 2;
  const int span = std::atoi(argv[1]) * 1000, runs = std::atoi(argv[2]);
  int bad = 0;
  for (int run = 0; run < runs; ++run) {
    const std::string after = std::to_string(static_cast<std::int64_t>(run) * span / runs + run % 2);
    const std::string work = std::to_string(run % 3);
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      execl("/proc/self/exe", "exit_amid_work", "end", after.c_str(), work.c_str(), nullptr);
      std::_Exit(127);
    }
    int status = -1;
    if (waitpid(child, &status, 0) == child && status == 0) continue;
    ++bad;
    std::printf("run %d, work %s, main returns after %s us: status %#x\n", run, work.c_str(), after.c_str(),
                static_cast<unsigned>(status));
  }
  std::printf("%d of %d runs went wrong\n", bad, runs);
  return bad != 0;
}
