#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <fmt/format.h>

#include "nccl_standin.h"
#include "standin.h"

namespace gpucnn::nccl_standin {
namespace {

using nccl::DataType;
using nccl::Operation;

constexpr std::chrono::seconds kPatience{60};

const char* name_of(DataType type) {
  switch (type) {
    case DataType::i8: return "bytes";
    case DataType::i32: return "i32";
    case DataType::i64: return "i64";
    case DataType::f32: return "f32";
    case DataType::f64: return "f64";
  }
  return "?";
}

std::string text_of(const Terms& terms) {
  if (terms.kind == Kind::broadcast)
    return fmt::format("a broadcast of {} {} from rank {}", terms.count, name_of(terms.type), terms.root);
  const char* operation = terms.operation == kPremul                            ? "sum of products"
                          : terms.operation == static_cast<int>(Operation::sum) ? "sum"
                          : terms.operation == static_cast<int>(Operation::max) ? "maximum"
                                                                                : "minimum";
  return fmt::format("an all-reduce to the {} of {} {}", operation, terms.count, name_of(terms.type));
}

}  // namespace

void stop(const std::string& sentence) {
  std::fputs(fmt::format("NCCL stand-in: {}\n", sentence).c_str(), stderr);
  std::abort();
}

std::size_t size_of(DataType type) {
  switch (type) {
    case DataType::i8: return 1;
    case DataType::i32:
    case DataType::f32: return 4;
    case DataType::i64:
    case DataType::f64: return 8;
  }
  return 0;
}

void Collective::post() {
  if (handle_.is_destroyed) stop("a call runs whose communicator was destroyed");
  call_ = ++handle_.posted;
  Lane& lane = handle_.lane(handle_.rank);
  const std::size_t bytes = terms_.count * size_of(terms_.type);
  if (bytes > 0) std::memcpy(handle_.slot(handle_.rank, call_), gpucnn_standin_address(from_, bytes), bytes);
  if (factor_.on_device) {
    const void* factor = gpucnn_standin_address(factor_.on_device, size_of(factor_.type));
    factor_.value = factor_.type == DataType::f32 ? static_cast<double>(*static_cast<const float*>(factor))
                                                  : *static_cast<const double*>(factor);
  }
  if (terms_.operation == kPremul) {
    auto* values = reinterpret_cast<float*>(handle_.slot(handle_.rank, call_));
    for (std::size_t i = 0; i < terms_.count; ++i) values[i] *= static_cast<float>(factor_.value);
  }
  lane.terms[call_ % kSlots] = terms_;
  lane.posted.store(call_, std::memory_order_release);
}

bool Collective::is_ready() {
  if (call_ == 0) post();
  if (handle_.is_aborted) return true;
  for (int rank = 0; rank < handle_.ranks; ++rank) {
    if (handle_.lane(rank).posted.load(std::memory_order_acquire) < call_) return false;
  }
  return true;
}

void Collective::check_terms() const {
  const Terms& first = handle_.lane(0).terms[call_ % kSlots];
  for (int rank = 1; rank < handle_.ranks; ++rank) {
    const Terms& other = handle_.lane(rank).terms[call_ % kSlots];
    if (other == first) continue;
    stop(fmt::format("call {} of a communicator is {} on rank 0, and {} on rank {}", call_, text_of(first), text_of(other), rank));
  }
}

template <class T>
void Collective::reduce() const {
  auto* to = static_cast<T*>(gpucnn_standin_address(to_, terms_.count * sizeof(T)));
  for (std::size_t i = 0; i < terms_.count; ++i) {
    const auto value = [&](int rank) { return reinterpret_cast<const T*>(handle_.slot(rank, call_))[i]; };
    T all = value(0);
    for (int rank = 1; rank < handle_.ranks; ++rank) {
      const T other = value(rank);
      if (terms_.operation == static_cast<int>(Operation::max)) {
        all = std::max(all, other);
      } else if (terms_.operation == static_cast<int>(Operation::min)) {
        all = std::min(all, other);
      } else {
        all += other;
      }
    }
    to[i] = all;
  }
}

void Collective::run() {
  const auto begin = std::chrono::steady_clock::now();
  while (!is_ready()) {
    // A GPU of this process may be the one that is waited for.
    if (gpucnn_standin_progress()) continue;
    if (std::chrono::steady_clock::now() - begin > kPatience) {
      stop(fmt::format("rank {} waits in vain in call {}, {}", handle_.rank, call_, text_of(terms_)));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  if (!handle_.is_aborted) {
    check_terms();
    const std::size_t bytes = terms_.count * size_of(terms_.type);
    if (terms_.kind == Kind::broadcast && bytes > 0) {
      std::memcpy(gpucnn_standin_address(to_, bytes), handle_.slot(terms_.root, call_), bytes);
    } else if (bytes > 0) {
      switch (terms_.type) {
        case DataType::i8: reduce<std::int8_t>(); break;
        case DataType::i32: reduce<std::int32_t>(); break;
        case DataType::i64: reduce<std::int64_t>(); break;
        case DataType::f32: reduce<float>(); break;
        case DataType::f64: reduce<double>(); break;
      }
    }
  }
  call_ = 0;
}

}  // namespace gpucnn::nccl_standin
