// Random convolutions on the CPU, whose tensors lie against pages that nobody may touch, each compared with the float64 reference:
//   conv2d_guard_sweep [--count N] [--seed S] [--first I] [--isa NAME]
// `--isa` is the instruction set that oneDNN and our own kernels are held to (SSE41, AVX, AVX2, AVX512_CORE, or ALL, what the
// processor has); where it is missing the program ends with 77. A convolution depends on the seed and its number only, so that
// `--seed S --first I --count 1` repeats one. Each runs in a child process; one that crashes is named, and the next goes on behind.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <hwy/targets.h>
#if GPUCNN_WITH_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif

#include <gpucnn/core/threads/threads.h>
#include <gpucnn/kernels/conv/conv2d.h>

#include "close.h"
#include "everywhere.h"
#include "guarded_memory.h"
#include "kernels/conv/conv2d_case.h"
#include "reference/conv2d.h"

namespace gpucnn {
namespace {

using reference::widen;

struct InstructionSet {
  std::string_view name;
  std::int64_t highway;
};

const InstructionSet kInstructionSets[] = {
    {"SSE41", HWY_SSE4}, {"AVX", HWY_SSE4}, {"AVX2", HWY_AVX2}, {"AVX512_CORE", HWY_AVX3}, {"ALL", 0}};

/// Holds oneDNN to an instruction set; false if the processor has less.
bool force_onednn([[maybe_unused]] const InstructionSet& set) {
#if GPUCNN_WITH_ONEDNN
  constexpr dnnl::cpu_isa kOnednn[] = {dnnl::cpu_isa::sse41, dnnl::cpu_isa::avx, dnnl::cpu_isa::avx2, dnnl::cpu_isa::avx512_core,
                                       dnnl::cpu_isa::all};
  const dnnl::cpu_isa isa = kOnednn[&set - kInstructionSets];
  if (dnnl::set_max_cpu_isa(isa) != dnnl::status::success) throw std::logic_error("oneDNN was used before");
  if (set.highway && dnnl::get_effective_cpu_isa() != isa) return false;
#endif
  return true;
}

/// Holds oneDNN and Highway to an instruction set; false if the processor has less.
bool force(const InstructionSet& set) {
  if (set.highway && !(hwy::SupportedTargets() & set.highway)) return false;
  if (!force_onednn(set)) return false;
  hwy::SetSupportedTargetsForTest(set.highway);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return true;
}

// ---- a convolution --------------------------------------------------------------------------------------------------------------

struct Case {
  reference::Conv2d sizes;
  bool bias, relu;
  int threads;
  guarded_memory::Side side;
  std::vector<float> x, weight, bias_values, dy;
  std::string special;

  Conv2dOptions options() const { return kernels::options_of(sizes, bias); }
  std::string string() const {
    const auto size = [](Size2 s) { return fmt::format("{}x{}", s.height, s.width); };
    return fmt::format(
        "[{}, {}, {}, {}] to {} channels, kernel {}, stride {}, padding {} before and {} behind, dilation {}, groups {}{}, {} "
        "threads, {}{}",
        sizes.N, sizes.C, sizes.H, sizes.W, sizes.K, size(sizes.kernel_size), size(sizes.stride), size(sizes.padding.before()),
        size({sizes.padding.bottom, sizes.padding.right}), size(sizes.dilation), sizes.groups, bias ? ", bias" : "", threads,
        side == guarded_memory::Side::back ? "guarded behind" : "guarded before", special);
  }
};

class Dice {
 public:
  Dice(unsigned seed, long number) : engine_(seed + 1000003U * static_cast<unsigned>(number)) {}
  /// In [first, last].
  int between(int first, int last) { return first + static_cast<int>(engine_() % static_cast<unsigned>(last - first + 1)); }
  bool one_in(int n) { return between(1, n) == 1; }
  unsigned seed() { return static_cast<unsigned>(engine_()); }
  Size2 size(int first, int last) {
    return one_in(3) ? Size2{between(first, last), between(first, last)} : Size2{between(first, last)};
  }
  /// A third of them with a number for each side.
  Padding2d padding(int last) {
    if (!one_in(3)) return size(0, last);
    return Sides{between(0, last), between(0, last), between(0, last), between(0, last)};
  }

 private:
  std::mt19937 engine_;
};

/// Numbers of channels beside and on the widths of vectors.
int channels(Dice& dice) {
  constexpr std::array kNearVectors{7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65};
  if (dice.one_in(3)) return dice.between(1, 7);
  return dice.one_in(2) ? dice.between(1, 20) : kNearVectors[static_cast<std::size_t>(dice.between(0, kNearVectors.size() - 1))];
}

/// Sizes that the reference computes within some milliseconds.
reference::Conv2d sizes(Dice& dice) {
  constexpr std::int64_t kMaxProducts = 1 << 20;
  for (;;) {
    reference::Conv2d c{.N = 1, .C = 1, .H = 1, .W = 1, .K = 1, .kernel_size = 1};
    c.N = dice.one_in(4) ? dice.between(5, 40) : dice.between(1, 4);
    c.groups = dice.one_in(4) ? dice.between(2, 9) : 1;
    c.C = c.groups == 1 ? channels(dice) : c.groups * (dice.one_in(2) ? 1 : dice.between(2, 9));
    c.K = c.groups == 1 ? channels(dice) : c.groups * (dice.one_in(2) ? 1 : dice.between(2, 9));
    c.H = dice.one_in(6) ? dice.between(1, 70) : dice.between(1, 14);
    c.W = dice.one_in(6) ? dice.between(1, 70) : dice.between(1, 14);
    c.kernel_size = dice.one_in(3) ? Size2(1) : dice.one_in(2) ? Size2(3) : dice.size(1, 7);
    c.stride = dice.one_in(3) ? Size2(1) : dice.size(1, 4);
    c.padding = dice.one_in(2) ? Padding2d(0) : dice.padding(dice.one_in(4) ? 7 : 2);
    c.dilation = dice.one_in(4) ? dice.size(1, 3) : Size2(1);
    const auto fits = [](std::int64_t padded, int kernel, int dilation) { return padded >= dilation * (kernel - 1) + 1; };
    if (!fits(c.H + c.padding.top + c.padding.bottom, c.kernel_size.height, c.dilation.height) ||
        !fits(c.W + c.padding.left + c.padding.right, c.kernel_size.width, c.dilation.width)) {
      continue;
    }
    if (c.y_numel() * c.weight_numel() / c.K <= kMaxProducts) return c;
  }
}

Case make_case(unsigned seed, long number) {
  Dice dice(seed, number);
  Case c{.sizes = sizes(dice)};
  c.bias = !dice.one_in(3);
  c.relu = dice.one_in(3);
  c.threads = dice.between(1, 3);
  c.side = dice.one_in(2) ? guarded_memory::Side::front : guarded_memory::Side::back;
  c.x = reference::random_floats(c.sizes.x_numel(), dice.seed());
  c.weight = reference::random_floats(c.sizes.weight_numel(), dice.seed());
  c.bias_values = reference::random_floats(c.bias ? c.sizes.K : 0, dice.seed());
  c.dy = reference::random_floats(c.sizes.y_numel(), dice.seed());
  const auto spoil = [&](std::vector<float>& values, const char* name) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr std::array kSpecial{std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity};
    if (!dice.one_in(6)) return;
    const float value = kSpecial[static_cast<std::size_t>(dice.between(0, 2))];
    const int element = dice.between(0, static_cast<int>(values.size()) - 1);
    values[static_cast<std::size_t>(element)] = value;
    c.special += fmt::format(", {} {} {}", name, element, value);
  };
  spoil(c.x, "x");
  spoil(c.weight, "weight");
  spoil(c.dy, "dy");
  return c;
}

// ---- its tensors ----------------------------------------------------------------------------------------------------------------

/// A tensor that ends where its block ends, or begins where it begins.
Tensor placed(const Shape& shape, guarded_memory::Side side) {
  constexpr std::int64_t kAlignment = 16;  // floats: a block behind which there is no gap has a multiple of them
  const std::int64_t count = shape.numel();
  if (side == guarded_memory::Side::front) return Tensor::empty(shape);
  const std::int64_t rounded = (count + kAlignment - 1) / kAlignment * kAlignment;
  return Tensor::empty({rounded}).view(rounded - count, shape);
}

Tensor placed(const std::vector<float>& values, const Shape& shape, guarded_memory::Side side) {
  Tensor made = placed(shape, side);
  made.copy_from(Tensor::from(values, shape));
  return made;
}

/// What is wrong with these values, in words; empty: nothing. Each is the sum of so many products of numbers up to 1.
std::string difference(std::string_view name, const Tensor& tensor, const reference::Values& expected, std::int64_t products) {
  const double allowed_sum = 1e-7 * static_cast<double>(products);  // terms of either sign may cancel
  const std::vector<float> actual = tensor.to_vector<float>();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = static_cast<double>(actual[i]), e = expected[i];
    if (a == e || (std::isnan(a) && std::isnan(e))) continue;
    if (std::isfinite(e) && std::abs(a - e) <= kVendorSum.relative * std::abs(e) + allowed_sum) continue;
    return fmt::format("{}: element {} of {} is {}, expected {}", name, i, expected.size(), a, e);
  }
  return {};
}

const char* pass = "";  // what is under way

/// Runs all passes; what is wrong with the results, in words.
std::string run(const Case& c) {
  guarded_memory::set_side(c.side);
  set_num_threads(c.threads);
  const reference::Conv2d& sizes = c.sizes;
  const Shape x_shape{sizes.N, sizes.C, sizes.H, sizes.W};
  const Shape weight_shape = kernels::conv2d_weight_shape(sizes.C, sizes.K, c.options());
  const Tensor x = placed(c.x, x_shape, c.side), weight = placed(c.weight, weight_shape, c.side);
  const Tensor bias = c.bias ? placed(c.bias_values, {sizes.K}, c.side) : Tensor{};
  kernels::Conv2dPlan plan(x_shape, sizes.K, c.options(), Device::cpu());
  const Tensor dy = placed(c.dy, plan.y_shape(), c.side);
  Tensor y = placed(plan.y_shape(), c.side), dx = placed(x_shape, c.side), dweight = placed(weight_shape, c.side);
  Tensor dbias = c.bias ? placed({sizes.K}, c.side) : Tensor{};
  Stream stream;
  pass = "forward";
  plan.forward(x, weight, bias, c.relu ? Activation{Activation::relu} : Activation{}, y, stream);
  pass = "backward_data";
  plan.backward_data(dy, weight, dx, stream);
  pass = "backward_weights";
  plan.backward_weights(x, dy, {}, dweight, dbias, stream);
  pass = "the comparison";
  reference::Values expected_y = reference::conv2d(sizes, widen(c.x), widen(c.weight), widen(c.bias_values));
  for (double& value : expected_y) value = c.relu && value < 0 ? 0 : value;
  const auto gradients = reference::conv2d_backward(sizes, widen(c.x), widen(c.weight), widen(c.dy));
  const std::int64_t taps = std::int64_t{sizes.kernel_size.height} * sizes.kernel_size.width;
  const std::int64_t places = sizes.N * sizes.Ho() * sizes.Wo();
  std::string wrong = difference("y", y, expected_y, sizes.C / sizes.groups * taps + 1);
  if (wrong.empty()) wrong = difference("dx", dx, gradients.dx, sizes.K / sizes.groups * taps);
  if (wrong.empty()) wrong = difference("dweight", dweight, gradients.dweight, places);
  if (wrong.empty() && c.bias) wrong = difference("dbias", dbias, gradients.dbias, places);
  return wrong;
}

// ---- the sweep ------------------------------------------------------------------------------------------------------------------

constexpr int kMissing = 77;  // CTest's sign for a test that was skipped

struct Arguments {
  long first = 0, count = 200;
  unsigned seed = 0;
  const InstructionSet* set = &std::end(kInstructionSets)[-1];
};

/// What the parent knows of its children.
struct Progress {
  long next = 0, wrong = 0, crashed = 0;
};

Progress* progress;
std::string name_of_case;  // of the one under way

/// From a signal handler or amid a broken heap, so without memory.
void report_crash(const char* what) {
  for (const char* text : {what, " in ", pass, " of ", name_of_case.c_str(), "\n"}) {
    if (write(STDOUT_FILENO, text, std::strlen(text)) < 0) break;
  }
}

void on_signal(int signal) {
  report_crash(signal == SIGSEGV || signal == SIGBUS ? "memory that is not ours" : "a crash");
  _exit(1);
}

void watch() {
  guarded_memory::set_report([] { report_crash("a block was overrun before the end"); });
  static std::array<std::byte, 1 << 16> own_stack;
  const stack_t stack{.ss_sp = own_stack.data(), .ss_flags = 0, .ss_size = own_stack.size()};
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(signal, &action, nullptr);
}

/// A child's life: all convolutions from the next on.
int run_all(const Arguments& arguments) {
  if (!force(*arguments.set)) return kMissing;
  watch();
  while (progress->next < arguments.first + arguments.count) {
    const long number = progress->next++;
    const Case c = make_case(arguments.seed, number);
    name_of_case = fmt::format("convolution {}: {}", number, c.string());
    const std::string wrong = run(c);
    if (wrong.empty()) continue;
    ++progress->wrong;
    std::printf("%s\n  %s\n", name_of_case.c_str(), wrong.c_str());
    std::fflush(stdout);
  }
  return guarded_memory::blocks() > 0 ? 0 : 1;
}

/// Whether `child` ends by a signal or with another code than 0.
template <class Child>
int status_of(const Child& child) {
  const pid_t id = fork();
  if (id < 0) throw std::runtime_error("no process could be started");
  if (id == 0) _exit(child());
  int status = 0;
  waitpid(id, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// That the guards hold: a child that reads an element beyond a tensor, on either side, must end by SIGSEGV.
void check_guards() {
  using guarded_memory::Side;
  for (const Side side : {Side::front, Side::back}) {
    const int status = status_of([side] {
      guarded_memory::set_side(side);
      const Tensor tensor = placed(Shape{5}, side);
      const volatile float* values = tensor.data<float>();
      return values[side == Side::front ? -1 : 5] == 0 ? 1 : 0;
    });
    if (status != 128 + SIGSEGV) throw std::logic_error("the guards do not hold");
  }
}

Arguments parse(std::span<char*> words) {
  Arguments arguments;
  arguments.seed = std::random_device{}();
  for (std::size_t i = 1; i < words.size(); i += 2) {
    const std::string_view option = words[i];
    if (i + 1 == words.size()) throw std::invalid_argument(fmt::format("{} wants a value", option));
    const std::string value = words[i + 1];
    if (option == "--count") {
      arguments.count = std::stol(value);
    } else if (option == "--first") {
      arguments.first = std::stol(value);
    } else if (option == "--seed") {
      arguments.seed = static_cast<unsigned>(std::stoul(value));
    } else if (option == "--isa") {
      const auto found = std::ranges::find(kInstructionSets, value, &InstructionSet::name);
      if (found == std::end(kInstructionSets)) throw std::invalid_argument(fmt::format("no instruction set {}", value));
      arguments.set = found;
    } else {
      throw std::invalid_argument(fmt::format("no option {}", option));
    }
  }
  return arguments;
}

int sweep(const Arguments& arguments) {
  std::printf("seed %u, %s\n", arguments.seed, std::string(arguments.set->name).c_str());
  std::fflush(stdout);
  setenv("GPUCNN_NO_MEMORY_CACHING", "1", 1);  // so that every block is as large as it was asked for
  check_guards();
  void* const shared = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::runtime_error("no shared memory");
  progress = new (shared) Progress{.next = arguments.first};
  while (const int status = status_of([&] { return run_all(arguments); })) {
    if (status == kMissing) {
      std::printf("this processor has no %s\n", std::string(arguments.set->name).c_str());
      return kMissing;
    }
    if (progress->next == arguments.first) throw std::runtime_error("a child ended before its first convolution");
    ++progress->crashed;
    if (progress->next >= arguments.first + arguments.count) break;
  }
  std::printf("%ld convolutions: %ld crashed, %ld gave wrong results\n", arguments.count, progress->crashed, progress->wrong);
  return progress->crashed + progress->wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace gpucnn

int main(int argc, char** argv) {
  try {
    return gpucnn::sweep(gpucnn::parse({argv, static_cast<std::size_t>(argc)}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "conv2d_guard_sweep: %s\n", error.what());
    return 2;
  }
}
