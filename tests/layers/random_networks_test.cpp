// Random networks against float64. GPUCNN_RANDOM_NETWORKS says how many (300), GPUCNN_RANDOM_SEED the first one's seed (1); the
// others' seeds follow it. A failure names its network's seed, with which a run of one network repeats it.
#include <cstring>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "close.h"
#include "drawn_test.h"
#include "everywhere.h"
#include "layers/layers.h"
#include "layers/random_network.h"

namespace gpucnn {
namespace {

/// For a chain of up to 20 layers, where `largest` is the largest value on the way.
Tolerance chained(double largest) { return {0, 2e-5, 2e-6 * largest}; }

/// Sums of gradients have up to 2^16 terms, each of which may be flushed below 2^-126.
constexpr double kFlushed = 0x1p-110;

/// What the library makes of a network: y in eval mode, y in training, the gradients of the parameters and of x.
std::vector<std::vector<float>> computed(const RandomNetwork& network) {
  Sequential model = network.make();
  model.set_input_grad(true);
  const Tensor x = Tensor::from(network.x(), network.x_shape());
  std::vector<std::vector<float>> all{values(model.predict(x)), values(model(x))};
  const Tensor dx = model.backward(Tensor::from(network.dy(), network.y_shape()));
  for (const Parameter& parameter : model.parameters()) all.push_back(values(parameter.grad()));
  all.push_back(values(dx));
  return all;
}

bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size()) return false;
    if (!a[i].empty() && std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) return false;
  }
  return true;
}

/// So far in the test under way.
int failures() { return testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count(); }

/// How many of each kind were compared.
struct Counts {
  int forwards = 0, gradients = 0;
};

void check(const RandomNetwork& network, std::uint64_t seed, Counts& counts) {
  const std::vector<std::int64_t> sets = ForcedInstructionSet::all();
  const ForcedInstructionSet forced(sets[seed % sets.size()]);
  const std::vector<std::vector<float>> all = [&] {
    const ForcedThreads one(1);
    return computed(network);
  }();
  {
    const ForcedThreads several(static_cast<int>(2 + seed % 4));
    ASSERT_TRUE(same_bits(computed(network), all)) << "other bits with " << num_threads() << " threads than with 1";
  }
  const RandomNetwork::Pass eval = network.run(false), training = network.run(true);
  // A decision that rounding may turn is no fault, and a later layer may make much of it.
  if (eval.certain) {
    SCOPED_TRACE("y in eval mode");
    ASSERT_NO_FATAL_FAILURE(expect_close(all[0], eval.y, chained(eval.largest_activation)));
    ++counts.forwards;
  }
  if (!training.certain) return;
  {
    SCOPED_TRACE("y in training");
    ASSERT_NO_FATAL_FAILURE(expect_close(all[1], training.y, chained(training.largest_activation)));
  }
  // The backward may leave out terms that are 0, and with them what is not finite in the other factor.
  if (network.numbers() == RandomNetwork::Numbers::special) return;
  Tolerance gradients = chained(training.largest_gradient);
  gradients.absolute += kFlushed;
  for (std::size_t i = 0; i < training.gradients.size(); ++i) {
    SCOPED_TRACE("gradient " + std::to_string(i) + " of " + std::to_string(training.gradients.size()) +
                 ", the last being that of x");
    ASSERT_NO_FATAL_FAILURE(expect_close(all[i + 2], training.gradients[i], gradients));
  }
  ++counts.gradients;
}

TEST(RandomNetworks, AreWhatFloat64MakesOfThem) {
  const std::uint64_t count = variable("GPUCNN_RANDOM_NETWORKS", 300), first = variable("GPUCNN_RANDOM_SEED", 1);
  std::cout << count << " random networks from seed " << first << " on\n";
  Counts counts;
  int failed = 0;
  for (std::uint64_t seed = first; seed < first + count && failed < 10; ++seed) {
    const RandomNetwork network(seed);
    SCOPED_TRACE("GPUCNN_RANDOM_NETWORKS=1 GPUCNN_RANDOM_SEED=" + std::to_string(seed) + ": " + network.text());
    const int before = failures();
    check(network, seed, counts);
    if (failures() > before) ++failed;
  }
  std::cout << counts.forwards << " outputs and " << counts.gradients << " sets of gradients compared\n";
  if (count >= 100) {
    EXPECT_GE(counts.forwards, static_cast<int>(count) / 2);
    EXPECT_GE(counts.gradients, static_cast<int>(count) / 4);
  }
}

}  // namespace
}  // namespace gpucnn
