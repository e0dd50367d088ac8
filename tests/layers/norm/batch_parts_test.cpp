#include <barrier>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

#include "close.h"
#include "layers/layers.h"
#include "reference/normalize.h"

namespace gpucnn {
namespace {

using reference::widen;

/// Adds up for threads that stand for processes.
class Meeting {
 public:
  explicit Meeting(int parts) : sums_(static_cast<std::size_t>(parts)), barrier_(parts) {}

  kernels::SumOverParts of(int part) {
    return [this, part](std::span<double> sums, Stream&) {
      sums_[static_cast<std::size_t>(part)].assign(sums.begin(), sums.end());
      barrier_.arrive_and_wait();
      for (std::size_t i = 0; i < sums.size(); ++i) {
        sums[i] = 0;
        for (const std::vector<double>& own : sums_) sums[i] += own.at(i);
      }
      barrier_.arrive_and_wait();
    };
  }

 private:
  std::vector<std::vector<double>> sums_;
  std::barrier<> barrier_;
};

struct Result {
  std::vector<float> y, dx, dweight, dbias, mean, var;
};

Result run(BatchNorm2d& norm, const Tensor& x, const Tensor& dy) {
  norm.set_input_grad(true);
  Result result;
  result.y = values(norm(x));
  result.dx = values(norm.backward(dy));
  result.dweight = values(norm.weight().grad());
  result.dbias = values(norm.bias().grad());
  result.mean = values(norm.state_dict().at("running_mean"));
  result.var = values(norm.state_dict().at("running_var"));
  return result;
}

void add(std::vector<double>& all, const std::vector<float>& more) {
  for (std::size_t i = 0; i < more.size(); ++i) all.at(i) += static_cast<double>(more[i]);
}

/// Batches of N images in parts that begin at `firsts`.
void expect_parts_make_the_whole(const Tensor& x, const Tensor& dy, const std::vector<std::int64_t>& firsts) {
  const auto C = static_cast<std::size_t>(x.dim(1));
  const std::int64_t N = x.dim(0);
  const int parts = static_cast<int>(firsts.size());
  Meeting meeting(parts);
  std::vector<Result> results(firsts.size());
  std::vector<std::thread> threads;
  for (int part = 0; part < parts; ++part) {
    threads.emplace_back([&, part] {
      BatchNorm2d norm(static_cast<int>(C));
      norm.sum_statistics_by(meeting.of(part));
      const auto p = static_cast<std::size_t>(part);
      const std::int64_t first = firsts[p], last = part + 1 < parts ? firsts[p + 1] : N;
      results[p] = run(norm, x.narrow(first, last - first), dy.narrow(first, last - first));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const reference::Normalize sizes{
      .N = static_cast<int>(N), .C = static_cast<int>(C), .pixels = static_cast<int>(x.dim(2) * x.dim(3))};
  const reference::Values ones(C, 1), zeros(C), xs = widen(values(x)), dys = widen(values(dy));
  const reference::Statistics batch = reference::statistics(sizes, xs);
  const auto gradients = reference::normalize_backward(sizes, xs, batch, ones, dys, false);
  std::vector<float> y, dx;
  std::vector<double> dweight(C), dbias(C);
  for (const Result& own : results) {
    y.insert(y.end(), own.y.begin(), own.y.end());
    dx.insert(dx.end(), own.dx.begin(), own.dx.end());
    add(dweight, own.dweight);
    add(dbias, own.dbias);
    EXPECT_EQ(own.mean, results[0].mean);
    EXPECT_EQ(own.var, results[0].var);
  }
  expect_close(y, reference::normalize(sizes, xs, batch, ones, zeros), kSum);
  expect_close(dx, gradients.dx, kSum);
  expect_close(dweight, gradients.dweight, kSum);
  expect_close(dbias, gradients.dbias, kSum);
  BatchNorm2d whole(static_cast<int>(C));
  const Result expected = run(whole, x, dy);
  expect_close(results[0].mean, widen(expected.mean), kSum);
  expect_close(results[0].var, widen(expected.var), kSum);
}

TEST(BatchNormOfParts, IsThatOfTheWholeBatch) {
  const Tensor x = random_tensor({6, 5, 3, 7}, 1), dy = random_tensor({6, 5, 3, 7}, 2);
  expect_parts_make_the_whole(x, dy, {0, 3});
  expect_parts_make_the_whole(x, dy, {0, 1, 3});
  expect_parts_make_the_whole(x, dy, {0, 2, 2, 6});  // two parts without images
}

TEST(BatchNormOfParts, IsExactWhereTheMeanIsFarLargerThanTheDeviation) {
  Tensor x = random_tensor({4, 3, 8, 8}, 1);
  const Tensor dy = random_tensor({4, 3, 8, 8}, 2);
  for (float& value : std::span(x.data<float>(), static_cast<std::size_t>(x.numel()))) value += 1000;
  expect_parts_make_the_whole(x, dy, {0, 1});
}

/// One value for each channel in each part is enough, if there are more in all.
TEST(BatchNormOfParts, TakesOneValueInEachPart) {
  expect_parts_make_the_whole(random_tensor({5, 3, 1, 1}, 1), random_tensor({5, 3, 1, 1}, 2), {0, 1, 2, 3, 4});
}

TEST(BatchNormOfParts, InFusedStagesIsThatOfTheWholeBatchToo) {
  const auto make = [] {
    Sequential model{Conv2d(3, 8, {.kernel_size = 3, .padding = 1, .bias = false}), BatchNorm2d(8), ReLU(),
                     ResidualBlock({{"conv1", Conv2d(8, 8, {.kernel_size = 3, .padding = 1, .bias = false})},
                                    {"bn1", BatchNorm2d(8)},
                                    {"relu", ReLU()},
                                    {"conv2", Conv2d(8, 8, {.kernel_size = 3, .padding = 1, .bias = false})},
                                    {"bn2", BatchNorm2d(8)}})};
    model.init(4);
    return model;
  };
  const Tensor x = random_tensor({5, 3, 6, 6}, 1), dy = random_tensor({5, 8, 6, 6}, 2);
  Sequential whole = make();
  const std::vector<float> y = values(whole(x));
  whole.backward(dy);
  Meeting meeting(2);
  std::vector<float> parts_y[2];
  std::vector<Sequential> models;
  for (int part = 0; part < 2; ++part) models.push_back(make());
  std::vector<std::thread> threads;
  for (int part = 0; part < 2; ++part) {
    threads.emplace_back([&, part] {
      Sequential& model = models[static_cast<std::size_t>(part)];
      for (const char* path : {"1", "3.bn1", "3.bn2"}) model.at<BatchNorm2d>(path).sum_statistics_by(meeting.of(part));
      const std::int64_t first = part == 0 ? 0 : 2, count = part == 0 ? 2 : 3;
      parts_y[part] = values(model(x.narrow(first, count)));
      model.backward(dy.narrow(first, count));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<float> both = parts_y[0];
  both.insert(both.end(), parts_y[1].begin(), parts_y[1].end());
  expect_close(both, widen(y), kVendorSum);
  const std::vector<Parameter> expected = whole.parameters();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    std::vector<double> sum(static_cast<std::size_t>(expected[i].numel()));
    for (Sequential& model : models) add(sum, values(model.parameters()[i].grad()));
    SCOPED_TRACE(expected[i].name());
    expect_close(sum, widen(values(expected[i].grad())), kVendorSum);
  }
}

}  // namespace
}  // namespace gpucnn
