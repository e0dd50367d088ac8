#include <gpucnn/distributed/distributed.h>

#include <algorithm>
#include <limits>
#include <map>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/config.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/in_quotes.h>
#include <gpucnn/distributed/communicator.h>
#include <gpucnn/distributed/gpu_collectives.h>

namespace gpucnn {
namespace {

using Number = Communicator::Number;

/// What one call of MPI takes.
constexpr std::size_t kMaxCount = std::numeric_limits<int>::max();

Number number_of(const Tensor& values) {
  switch (values.dtype()) {
    case DType::f32: return Number::f32;
    case DType::i32: return Number::i32;
    case DType::i64: return Number::i64;
    default: break;
  }
  throw std::invalid_argument(formatted("all_reduce takes tensors of f32, i32 or i64, not of {}", name_of(values.dtype())));
}

void require_count(std::size_t count) {
  if (count > kMaxCount) throw std::invalid_argument(formatted("all_reduce takes up to {} values, not {}", kMaxCount, count));
}

/// Whether NCCL has to move these values; a build without CUDA does not ask.
[[maybe_unused]] bool lies_on_gpu(const Distributed& distributed, const Tensor& values) {
  return values.device().kind == Device::Kind::cuda && distributed.size() > 1;
}

Communicator::RequestPtr begin(const Distributed& distributed, Communicator& communicator, Tensor& values, Reduce reduction) {
  const Number number = number_of(values);
  if constexpr (kBuiltWithCuda) {
    if (lies_on_gpu(distributed, values)) return begin_gpu_all_reduce(distributed, values, number, reduction);
  }
  const auto count = static_cast<std::size_t>(values.numel());
  require_count(count);
  return communicator.begin_all_reduce(values.rewrite_bytes(), count, number, reduction);
}

/// Most ranks' value; of several, that of the lowest rank.
const std::string& usual(const std::vector<std::string>& values) {
  std::map<std::string, int> counts;
  for (const std::string& value : values) ++counts[value];
  return *std::ranges::max_element(values, {}, [&](const std::string& value) { return counts.at(value); });
}

/// What a message quotes of a value: of long ones, what lies around the first difference.
std::string quoted(const std::string& value, const std::string& other) {
  constexpr std::size_t kBefore = 20;
  auto first = static_cast<std::size_t>(std::ranges::mismatch(value, other).in1 - value.begin());
  if (first <= kBefore || std::max(value.size(), other.size()) <= kMaxNameBytes) return in_quotes(value);
  first -= kBefore;
  while (first > 0 && (value[first] & 0xC0) == 0x80) --first;  // amid a character of UTF-8
  return in_quotes("..." + value.substr(first));
}

}  // namespace

class Distributed::Pending::Work {
 public:
  Work(Communicator::RequestPtr request, Tensor values) : request_(std::move(request)), values_(std::move(values)) {}

  void wait() {
    request_->wait();
    values_.rewrite_bytes();  // only now they are written
  }

 private:
  Communicator::RequestPtr request_;
  Tensor values_;
};

Distributed::Pending::Pending() noexcept = default;
Distributed::Pending::Pending(std::unique_ptr<Work> work) : work_(std::move(work)) {}
Distributed::Pending::Pending(Pending&& other) noexcept = default;
Distributed::Pending& Distributed::Pending::operator=(Pending&& other) noexcept {
  if (this == &other) return *this;
  wait();
  work_ = std::move(other.work_);
  return *this;
}
Distributed::Pending::~Pending() { wait(); }

void Distributed::Pending::wait() {
  if (work_) work_->wait();
  work_.reset();
}

Distributed::LongTask::LongTask(std::shared_ptr<Communicator> communicator) : communicator_(std::move(communicator)) {
  communicator_->begin_long_task();
}
Distributed::LongTask::~LongTask() { communicator_->end_long_task(); }

Distributed::Distributed() : communicator_(alone()) {}
Distributed::Distributed(std::shared_ptr<Communicator> communicator) : communicator_(std::move(communicator)) {}

void Distributed::end_silently() const noexcept { communicator_->end_silently(); }

int Distributed::rank() const noexcept { return communicator_->place().rank; }
int Distributed::size() const noexcept { return communicator_->place().size; }
int Distributed::local_rank() const noexcept { return communicator_->place().local_rank; }
int Distributed::local_size() const noexcept { return communicator_->place().local_size; }

void Distributed::all_reduce(Tensor& values, Reduce reduce) const {
  begin(*this, *communicator_, values, reduce)->wait();
  values.rewrite_bytes();
}

void Distributed::all_reduce(std::span<double> values, Reduce reduce) const {
  require_count(values.size());
  communicator_->begin_all_reduce(values.data(), values.size(), Number::f64, reduce)->wait();
}

void Distributed::all_reduce(std::span<std::int64_t> values, Reduce reduce) const {
  require_count(values.size());
  communicator_->begin_all_reduce(values.data(), values.size(), Number::i64, reduce)->wait();
}

void Distributed::broadcast(Tensor& values, int root) const {
  if constexpr (kBuiltWithCuda) {
    if (lies_on_gpu(*this, values)) return begin_gpu_broadcast(*this, values, root)->wait();
  }
  broadcast(std::span(values.rewrite_bytes(), static_cast<std::size_t>(values.nbytes())), root);
  values.rewrite_bytes();
}

void Distributed::broadcast(std::span<std::byte> bytes, int root) const {
  while (!bytes.empty()) {
    const std::size_t count = std::min(kMaxCount, bytes.size());
    communicator_->begin_broadcast(bytes.data(), count, root)->wait();
    bytes = bytes.subspan(count);
  }
}

std::string Distributed::broadcast(std::string text, int root) const {
  std::int64_t length = static_cast<std::int64_t>(text.size());
  communicator_->begin_broadcast(&length, sizeof(length), root)->wait();
  text.resize(static_cast<std::size_t>(length));
  communicator_->begin_broadcast(text.data(), text.size(), root)->wait();
  return text;
}

std::vector<std::string> Distributed::all_gather(const std::string& text) const {
  const auto ranks = static_cast<std::size_t>(size());
  const std::size_t length = text.size();
  std::vector<std::size_t> lengths(ranks);
  communicator_->begin_all_gather(&length, lengths.data(), sizeof(length))->wait();
  const std::size_t longest = std::ranges::max(lengths);
  std::string padded = text, all(longest * ranks, '\0');
  padded.resize(longest);
  communicator_->begin_all_gather(padded.data(), all.data(), longest)->wait();
  std::vector<std::string> texts;
  for (std::size_t rank = 0; rank < ranks; ++rank) texts.push_back(all.substr(rank * longest, lengths[rank]));
  return texts;
}

Device Distributed::gpu() const {
  if constexpr (kBuiltWithCuda) return own_gpu(*this);
  Device::cuda().require();  // throws
  return {};
}

void Distributed::barrier() const { communicator_->begin_barrier()->wait(); }

void Distributed::require_same(std::string_view what, const std::string& value) const {
  const std::vector<std::string> values = all_gather(value);
  const std::string& expected = usual(values);
  const auto other = std::ranges::find_if(values, [&](const std::string& one) { return one != expected; });
  if (other == values.end()) return;
  const auto same = std::ranges::find(values, expected);
  throw Error(formatted("rank {} has another {} than rank {}: {} instead of {}", other - values.begin(), what,
                        same - values.begin(), quoted(*other, expected), quoted(expected, *other)));
}

Distributed::Pending Distributed::begin_all_reduce(Tensor values) const {
  auto request = begin(*this, *communicator_, values, Reduce::sum);
  return Pending(std::make_unique<Pending::Work>(std::move(request), std::move(values)));
}

Distributed::Pending Distributed::begin_all_reduce(std::span<double> values) const {
  require_count(values.size());
  auto request = communicator_->begin_all_reduce(values.data(), values.size(), Number::f64, Reduce::sum);
  return Pending(std::make_unique<Pending::Work>(std::move(request), Tensor()));
}

}  // namespace gpucnn
