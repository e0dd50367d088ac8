#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conv2d_relu_pool_problem.h"
#include "misuse.h"

namespace gpucnn::kernels {
namespace {

/// Tensors that are not like `right`: of another dtype, another rank, and with each extent one larger.
std::vector<Tensor> unlike(const Tensor& right) {
  std::vector<Tensor> wrong{Tensor::zeros(right.shape(), right.dtype() == DType::f32 ? DType::u8 : DType::f32),
                            Tensor::zeros(right.shape(), DType::i32), Tensor::zeros({2, right.numel()}, right.dtype())};
  for (int i = 0; i < right.rank(); ++i)
    wrong.push_back(Tensor::zeros(right.shape().with(i, right.dim(i) + (right.rank() == 4 ? 2 : 1)), right.dtype()));
  return wrong;
}

TEST(Conv2dReluPool, RefusesTensorsThatDoNotFitTogether) {
  const Data data = random_data({2, 3, 7, 5, 4});
  const auto expect_refused = [&](Fenced Problem::*member, bool may_be_undefined, auto call, const std::string& op) {
    Problem problem(data);
    problem.forward();
    Tensor& tensor = (problem.*member).tensor;
    std::vector<Tensor> wrong = unlike(tensor);
    if (!may_be_undefined) wrong.emplace_back();
    for (const Tensor& other : wrong) {
      SCOPED_TRACE(other.defined() ? std::string(name_of(other.dtype())) + " " + other.shape().string() : "undefined");
      tensor = other;
      EXPECT_THAT([&] { call(problem); }, testing::ThrowsMessage<std::invalid_argument>(testing::StartsWith(op + ": ")));
    }
  };
  const auto forward = [](Problem& problem) { problem.forward(); };
  const auto backward = [](Problem& problem) { problem.backward(); };
  const std::string op = "conv2d_relu_pool", op_back = "conv2d_relu_pool_backward";
  for (const auto member : {&Problem::x, &Problem::weight, &Problem::y}) expect_refused(member, false, forward, op);
  for (const auto member : {&Problem::bias, &Problem::argmax}) expect_refused(member, true, forward, op);
  for (const auto member : {&Problem::x, &Problem::weight, &Problem::dy, &Problem::argmax, &Problem::dweight})
    expect_refused(member, false, backward, op_back);
  for (const auto member : {&Problem::dbias, &Problem::dx}) expect_refused(member, true, backward, op_back);
}

TEST(Conv2dReluPool, NamesWhatDoesNotFit) {
  Problem problem(random_data({2, 3, 4, 4, 4}));
  const auto with = [&](Fenced Problem::*member, const Tensor& other, auto call) {
    return [&problem, member, other, call] {
      const Tensor before = std::exchange((problem.*member).tensor, other);
      try {
        call(problem);
      } catch (...) {
        (problem.*member).tensor = before;
        throw;
      }
    };
  };
  const auto forward = [](Problem& p) { p.forward(); };
  const auto backward = [](Problem& p) { p.backward(); };
  const auto zeros = [](const Shape& shape) { return Tensor::zeros(shape); };
  EXPECT_THAT(with(&Problem::x, Tensor{}, forward), misuse("conv2d_relu_pool: x is undefined"));
  EXPECT_THAT(with(&Problem::x, zeros({3, 4, 4}), forward), misuse("conv2d_relu_pool: x must have 4 dimensions, got [3, 4, 4]"));
  EXPECT_THAT(with(&Problem::weight, zeros({4, 3, 3, 5}), forward),
              misuse("conv2d_relu_pool: weight must be [4, 3, 3, 3], got [4, 3, 3, 5]"));
  EXPECT_THAT(with(&Problem::bias, zeros({3}), forward), misuse("conv2d_relu_pool: bias must be [4], got [3]"));
  EXPECT_THAT(with(&Problem::y, zeros({2, 4, 2, 3}), forward),
              misuse("conv2d_relu_pool: y must be [2, 4, 2, 2], got [2, 4, 2, 3]"));
  EXPECT_THAT(with(&Problem::argmax, zeros({2, 4, 2, 2}), forward), misuse("conv2d_relu_pool: argmax must be u8, got f32"));
  EXPECT_THAT(with(&Problem::argmax, Tensor{}, backward), misuse("conv2d_relu_pool_backward: argmax is undefined"));
  EXPECT_THAT(with(&Problem::dx, zeros({2, 3, 4, 5}), backward),
              misuse("conv2d_relu_pool_backward: dx must be [2, 3, 4, 4], got [2, 3, 4, 5]"));
  EXPECT_THAT(with(&Problem::x, zeros({2, 3, 1, 4}), forward), misuse("at least 2 high and wide, got [2, 3, 1, 4]"));
  EXPECT_THAT(with(&Problem::x, zeros({2, 0, 4, 4}), forward), misuse("must have a channel and be at least 2 high and wide"));
  EXPECT_THAT(with(&Problem::x, zeros({2, 3, 4, 1}), backward), misuse("at least 2 high and wide, got [2, 3, 4, 1]"));
  EXPECT_THAT(with(&Problem::y, problem.x.tensor.view(0, {2, 4, 2, 2}), forward), misuse("conv2d_relu_pool: y and x share memory"));
  EXPECT_THAT(with(&Problem::dx, problem.x.tensor, backward), misuse("conv2d_relu_pool_backward: dx and x share memory"));
  EXPECT_THAT(with(&Problem::dy, problem.dx.tensor.view(0, {2, 4, 2, 2}), backward),
              misuse("conv2d_relu_pool_backward: dx and dy share memory"));
}

}  // namespace
}  // namespace gpucnn::kernels
