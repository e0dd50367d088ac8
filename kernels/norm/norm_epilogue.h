#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels {

/// Makes sums over a process's part of a batch those over the whole, on every process that has a part. They lie in memory of the
/// stream's device. What is queued behind the call finds the whole's.
using SumOverParts = std::function<void(std::span<double> sums, Stream& stream)>;

/// A batch of which several processes have a part each.
struct PartOfBatch {
  const SumOverParts& sum;
  Tensor values;  ///< i64 [], on the stream's device: how many values a channel has in the whole batch
  bool counts =
      true;  ///< false: this process has no image. Its x is another's, adds nothing to the sums, and its dx is dy's alone.
};

/// What a normalisation does with its result in the same pass: y = relu(result + addend), each where it is wanted. In f32 these are
/// the bits of `add` and `activation` one after the other; bf16 is rounded once, at the end.
struct NormEpilogue {
  Tensor addend{};  ///< of x's shape and dtype; undefined: none
  bool relu = false;
};

/// What its backward has to know of that epilogue. A ReLU passes dy on where y was not <= 0, as in `activation_backward`: so a NaN
/// in y does. y is computed again from x unless it is given, which costs less than to read it.
struct NormEpilogueBackward {
  bool relu = false;                  ///< as in the forward
  Tensor bias{};                      ///< the forward's; undefined: 0. For y to be computed again.
  Tensor y{};                         ///< the forward's; wanted with `relu` where there was an addend
  Tensor dsum{};                      ///< = the gradient of result + addend, of y's shape and dtype; undefined: nobody asks for it
  const PartOfBatch* part = nullptr;  ///< if statistics are those of a batch of which x is a part, perhaps none of it
};

}  // namespace gpucnn::kernels
