#include <gpucnn/kernels/cuda/step_tail.h>

#include <stdexcept>
#include <utility>

#include <gpucnn/kernels/cuda/loss_parts.h>
#include <gpucnn/kernels/cuda/step_end.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels::cuda {
namespace {

thread_local StepTail* open_tail = nullptr;

__global__ void __launch_bounds__(kThreads) report_kernel(const LossPart* parts, int count, std::int64_t N, StepState* state,
                                                          gpu::StepReport* reports, std::int64_t slots) {
  const LossTotal total = total_of<kThreads>(parts, count, N);
  if (threadIdx.x == 0) write_report(total.loss, total.correct, N, total.ignored, state, reports, slots);
}

bool is_same(const Tensor& a, const Tensor& b) { return a.defined() && b.defined() && a.bytes() == b.bytes(); }

}  // namespace

StepTail::StepTail(StepState* state, std::optional<Report> report, Advance advance)
    : state_(state), report_(std::move(report)), advance_(advance) {
  if (open_tail) throw std::logic_error("a step's tail is open on this thread already");
  open_tail = this;
}

StepTail::~StepTail() {
  if (open_tail == this) open_tail = nullptr;
}

StepTail* StepTail::open() noexcept { return open_tail; }

void StepTail::leave(const Sums& sums, Stream& stream) {
  // A parameter of two layers has two sums, of which the second is added to the first.
  for (const Sums& before : sums_) {
    if (is_same(before.dweight, sums.dweight) || is_same(before.dbias, sums.dbias)) {
      flush(stream);
      break;
    }
  }
  bytes_ += sums.slices.nbytes();
  if (sums_.size() == kMaxSums || bytes_ > kMaxBytes) {
    bytes_ -= sums.slices.nbytes();
    return add(sums, stream);
  }
  sums_.push_back(sums);
}

void StepTail::flush(Stream& stream) {
  for (const Sums& each : std::exchange(sums_, {})) add(each, stream);
  bytes_ = 0;
  if (report_) report_parts(*std::exchange(report_, std::nullopt), state_, stream);
}

void StepTail::add(const Sums& sums, Stream& stream) {
  Tensor dweight = sums.dweight, dbias = sums.dbias;
  add_slices(sums.slices, sums.count, {dweight, sums.add_weight}, {dbias, sums.add_bias}, /*may_wait=*/false, stream);
}

void StepTail::close() noexcept {
  sums_.clear();
  report_.reset();
  closed_ = true;
}

void report_parts(const StepTail::Report& report, StepState* state, Stream& stream) {
  launch(stream, "report_parts", {1, kThreads}, report_kernel, reinterpret_cast<const LossPart*>(report.parts.bytes()),
         static_cast<int>(report.parts.dim(0)), report.N, state, report.reports, report.slots);
}

}  // namespace gpucnn::kernels::cuda
