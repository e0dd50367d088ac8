#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <gpucnn/core/gpu/step_report.h>
#include <gpucnn/core/gpu/step_state.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/cuda/slice_sums.h>

namespace gpucnn::kernels::cuda {

/// What is left to do behind the backward of a captured step, for the optimizer's kernel to do at once: slices of gradients to add,
/// the report, and moving the state on. While one is open on a thread, `add_slices` leaves to it the sums that may wait. Nobody may
/// read those gradients before the optimizer's kernel has taken them, or `flush` has added them.
class StepTail {
 public:
  /// What add_slices was to add.
  struct Sums {
    Tensor slices;
    SliceSums count;
    Tensor dweight, dbias;  // dbias: undefined if there is none
    bool add_weight, add_bias;
  };

  /// Of a loss whose parts a kernel has left: see LossPart. The report goes to reports[state->steps % slots].
  struct Report {
    Tensor parts;
    std::int64_t N;
    gpu::StepReport* reports;
    std::int64_t slots;
  };

  /// How the state moves on.
  struct Advance {
    std::int64_t images;
    bool counts_forward;
  };

  /// Without a report: the loss is no part of it.
  StepTail(StepState* state, std::optional<Report> report, Advance advance);
  ~StepTail();
  StepTail(const StepTail&) = delete;
  StepTail& operator=(const StepTail&) = delete;

  /// The calling thread's; null: none.
  static StepTail* open() noexcept;

  /// Those beyond kMaxSums, and beyond kMaxBytes of slices, whose memory would lie idle until then, are added at once.
  void leave(const Sums& sums, Stream& stream);
  static constexpr std::size_t kMaxSums = 8;
  /// Adds those that `which(sums)` names now.
  template <class Which>
  void add_where(const Which& which, Stream& stream) {
    std::erase_if(sums_, [&](const Sums& sums) {
      const bool named = which(sums);
      if (named) add(sums, stream);
      return named;
    });
  }
  /// Adds what was left, and reports. The state stays.
  void flush(Stream& stream);
  /// The optimizer's kernel has done all of it.
  void close() noexcept;
  bool is_closed() const noexcept { return closed_; }

  const std::vector<Sums>& sums() const noexcept { return sums_; }
  const std::optional<Report>& report() const noexcept { return report_; }
  const Advance& advance() const noexcept { return advance_; }
  StepState* state() const noexcept { return state_; }

 private:
  void add(const Sums& sums, Stream& stream);

  static constexpr std::size_t kMaxBytes = std::size_t{64} << 20;

  StepState* state_;
  std::optional<Report> report_;
  Advance advance_;
  std::vector<Sums> sums_;
  std::size_t bytes_ = 0;  // of their slices
  bool closed_ = false;
};

/// Reports a loss by its parts at once, and notes in the state if it is not finite.
void report_parts(const StepTail::Report& report, StepState* state, Stream& stream);

}  // namespace gpucnn::kernels::cuda
