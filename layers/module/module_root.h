#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gpucnn/kernels/common/seen_values.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// What the modules of a tree share.
struct Module::Root {
  Root(Device device, std::uint64_t its_seed) : stream(device), seed(its_seed) {}
  /// Takes over what `before` was told and has counted; its tree is named anew, its parameters are packed anew.
  explicit Root(const Root& before);

  /// Makes `operands` the values in bf16, and returns them. On a GPU in each call anew, because whoever holds parameters may have
  /// written to them. On the CPU only if they are others, and in other memory: predictions at the same time read what they got.
  Tensor refresh_operands();
  /// The same, once for the training call with this number and its backward.
  void refresh_operands(std::uint64_t call);

  Stream stream;
  std::uint64_t seed;
  std::uint64_t random_step = 0;  // outermost forwards in training, or that drew numbers: the step of dropout's stream
  Precision precision = Precision::fp32;
  std::size_t modules = 0;           // in the tree
  Tensor values, operands;           // of all parameters: the arena, and with bf16 what is multiplied; undefined without any
  std::mutex rounding;               // of predictions on the CPU: guards `operands` and the next
  kernels::cpu::SeenValues rounded;  // on the CPU: what `operands` were made from
  std::uint64_t operands_of = 0;     // the training call whose forward, or backward, has made the copy

  std::uint64_t generation = 0;     // another whenever the tree, its memory or its precision became another: unique in the process
  std::atomic<bool> packed{false};  // whether the parameters have values; before, the tree only has names
  std::atomic<std::uint64_t> calls{0};         // so that a second use within one shows
  std::atomic<int> busy{0};                    // predictions under way; -1: a call that excludes all others
  std::atomic<std::thread::id> busy_thread{};  // of the call that excludes all others
  std::atomic<bool> retired{false};            // its modules have another root: whoever found this one looks again
};

/// The outermost call: what it knows, whichever module asks.
struct Context::Call {
  Module::Root& root;
  bool predicting;
  std::uint64_t number;                                   // counts the root's calls
  std::uint64_t random_step;                              // of the random numbers drawn in it; of a backward, its forward's
  std::uint64_t forward = 0;                              // of a backward: the number of its forward
  bool counts = false;                                    // whether the next forward draws other random numbers
  StepEnds* ends = nullptr;                               // of a training step's forward
  const Module* leader = nullptr;                         // the outermost module, if it takes them
  Tensor operands = {};                                   // of a prediction with bf16: the root's when it began
  std::int64_t images_before = 0;                         // of the global batch, before the first of this call's
  bool is_part = true;                                    // of it: StepEnds::counts
  const Module::GradientsFrom* gradients_from = nullptr;  // of a backward: whom its outermost module tells
};

/// What one module keeps from its forward to its backward.
struct Context::Saved {
  bool there = false;            // whether a backward may come
  std::uint64_t generation = 0;  // the root's in the forward
  std::uint64_t call = 0;        // the forward's number
  Shape x, y;
  std::vector<Tensor> tensors;
  bool training = false;
  std::uint64_t random_step = 0;
  std::int64_t images_before = 0;
  bool is_part = true;
};

/// A call that excludes all others on the same model while it lives.
class Module::ExclusiveCall {
 public:
  /// Throws `std::logic_error` if another call is under way.
  ExclusiveCall(Root& root, const Module& module);
  ~ExclusiveCall();
  ExclusiveCall(const ExclusiveCall&) = delete;
  ExclusiveCall& operator=(const ExclusiveCall&) = delete;

 private:
  Root& root_;
};

/// A prediction, beside which there may be others, but no call that excludes them; except on the thread of that call.
class Module::Prediction {
 public:
  /// Throws `std::logic_error` if such a call is under way.
  Prediction(Root& root, const Module& module);
  ~Prediction();
  Prediction(const Prediction&) = delete;
  Prediction& operator=(const Prediction&) = delete;

 private:
  Root& root_;
  bool counted_ = true;
};

}  // namespace gpucnn
