#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <gpucnn/core/state_dict.h>
#include <gpucnn/io/metadata_fields.h>
#include <gpucnn/io/safetensors.h>
#include <gpucnn/train/checkpoint.h>

namespace gpucnn {

struct Rates;  // of an optimizer and its schedule

/// The numbers of a run's state, as texts. The names begin with RunState::kOwn.
Metadata fields_of(const RunParts& run, const RunPosition& position);
/// Its tensors, under a prefix for each part.
StateDict tensors_of(const RunParts& run);

/// The state of a run, of a file or of another process.
class RunState {
 public:
  /// Fields with this beginning are the state's, all others the caller's.
  static constexpr std::string_view kOwn = "checkpoint.";

  /// `name`: for messages. Throws `DataError` for what is no state of a run.
  RunState(std::string name, const StateDict& tensors, const Metadata& fields);

  /// Throws what `load_checkpoint` throws for these parts.
  void check(const RunParts& run) const;
  /// REQUIRES: `check` has let the parts through.
  void restore(const RunParts& run) const;

  LoadedCheckpoint take() { return std::move(loaded_); }

 private:
  MetadataFields fields() const { return {name_, own_}; }
  static std::string own(std::string_view name) { return std::string(kOwn).append(name); }
  const std::string& text(std::string_view name) const { return fields().text(own(name)); }
  double number(std::string_view name) const { return fields().number(own(name)); }
  std::int64_t integer(std::string_view name, std::int64_t most = std::numeric_limits<std::int64_t>::max()) const {
    return fields().integer(own(name), 0, most);
  }
  std::uint64_t unsigned_integer(std::string_view name) const { return fields().unsigned_integer(own(name)); }

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const;

  void check_version() const;
  RunPosition read_position() const;
  Rates read_rates(const RunParts& run) const;
  /// A tensor goes to the part that its name begins with.
  void sort_in(const std::string& name, const Tensor& tensor);
  void require_same(std::string_view field, const std::string& here) const;
  void check_loader(const std::string& name, const DataLoader& loader) const;
  void require_entries(std::string_view prefix, const StateDict& own, const StateDict& given) const;

  std::string name_;
  Metadata own_;
  LoadedCheckpoint loaded_;
  StateDict model_, optimizer_, ema_;
};

}  // namespace gpucnn
