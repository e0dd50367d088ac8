#include <gpucnn/train/run_state.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include <gpucnn/core/error.h>
#include <gpucnn/core/state_entry.h>
#include <gpucnn/core/text/class_name.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/metadata_fields.h>
#include <gpucnn/io/safetensors/header.h>

namespace gpucnn {

struct Rates {
  std::vector<double> lrs, momenta;  // of the optimizer's groups; without momenta none
  std::vector<double> schedule;      // what the schedule knows
};

namespace {

constexpr std::string_view kOwn = RunState::kOwn;
constexpr std::int64_t kMaxVersion = 1;  // the one that is written; what is newer is refused
constexpr std::string_view kModel = "model.", kOptimizer = "optimizer.", kEma = "ema.";

// ---- fields ----------------------------------------------------------------------------------------------------------

template <class Part>
std::string kind_of(const Part* part) {
  return part ? class_name(typeid(*part)) : "none";
}

/// The epoch that the walk of `position` is part of, or the next.
std::uint64_t train_epoch(const DataLoader& train, const RunPosition& position) {
  return position.batches > 0 ? train.epoch() - 1 : train.epoch();
}

class FieldWriter {
 public:
  explicit FieldWriter(Metadata& metadata) : metadata_(metadata) {}

  void text(std::string_view name, std::string value) { metadata_[std::string(kOwn).append(name)] = std::move(value); }
  void number(std::string_view name, double value) { text(name, to_text(value)); }
  template <class Integer>
  void integer(std::string_view name, Integer value) {
    text(name, std::to_string(value));
  }

 private:
  Metadata& metadata_;
};

void write_position(FieldWriter& to, const RunPosition& position) {
  to.integer("epoch", position.epoch);
  to.integer("batches", position.batches);
  to.number("train.loss_sum", position.train.loss_sum);
  to.integer("train.correct", position.train.correct);
  to.integer("train.images", position.train.images);
  to.integer("train.ignored", position.train.ignored);
  to.number("seconds", position.seconds);
  to.integer("best_epoch", position.best_epoch);
  to.number("best_accuracy", position.best_accuracy);
}

void write_loader(FieldWriter& to, const std::string& name, const DataLoader& loader, std::uint64_t epoch) {
  to.integer(name + ".epoch", epoch);
  to.integer(name + ".seed", loader.options().seed);
  to.integer(name + ".batch_size", loader.options().batch_size);
  to.integer(name + ".examples", loader.dataset().size());
}

// ---- what changes beside tensors -------------------------------------------------------------------------------------

Rates rates_of(const RunParts& run) {
  Rates rates;
  for (std::size_t group = 0; group < run.optimizer.groups(); ++group) {
    rates.lrs.push_back(run.optimizer.lr(group));
    if (run.optimizer.has_momentum()) rates.momenta.push_back(run.optimizer.momentum(group));
  }
  if (run.scheduler) rates.schedule = run.scheduler->state();
  return rates;
}

/// Throws `std::invalid_argument` for what optimizer or schedule do not take; some may be set then.
void set_rates(const RunParts& run, const Rates& rates) {
  if (run.scheduler) run.scheduler->set_state(rates.schedule);
  for (std::size_t group = 0; group < rates.lrs.size(); ++group) run.optimizer.set_lr(group, rates.lrs[group]);
  for (std::size_t group = 0; group < rates.momenta.size(); ++group) run.optimizer.set_momentum(group, rates.momenta[group]);
}

}  // namespace

Metadata fields_of(const RunParts& run, const RunPosition& position) {
  Metadata fields;
  FieldWriter to(fields);
  to.integer("version", kMaxVersion);
  to.integer("random_seed", run.model.random_seed());
  to.integer("random_step", run.model.random_step());
  to.text("optimizer", kind_of(&run.optimizer));
  const Rates rates = rates_of(run);
  to.text("optimizer.lr", to_text(rates.lrs));
  to.text("optimizer.momentum", to_text(rates.momenta));
  to.text("scheduler", kind_of(run.scheduler));
  to.text("scheduler.state", to_text(rates.schedule));
  to.text("ema", kind_of(run.ema));
  if (run.ema) to.number("ema.decay", run.ema->decay());
  if (run.train) write_loader(to, "train", *run.train, train_epoch(*run.train, position));
  if (run.test) write_loader(to, "test", *run.test, run.test->epoch());
  write_position(to, position);
  return fields;
}

StateDict tensors_of(const RunParts& run) {
  StateDict all;
  const auto add = [&all](std::string_view prefix, const StateDict& state) {
    for (const auto& [name, tensor] : state) all.add(std::string(prefix).append(name), tensor);
  };
  add(kModel, run.model.state_dict());
  add(kOptimizer, run.optimizer.state_dict());
  if (run.ema) add(kEma, run.ema->state_dict());
  return all;
}

// ---- a state that is read ------------------------------------------------------------------------------------------

RunState::RunState(std::string name, const StateDict& tensors, const Metadata& fields) : name_(std::move(name)) {
  for (const auto& [field, text] : fields) (field.starts_with(kOwn) ? own_ : loaded_.metadata)[field] = text;
  check_version();
  loaded_.position = read_position();
  for (const auto& [field, tensor] : tensors) sort_in(field, tensor);
}

void RunState::check(const RunParts& run) const {
  require_same("optimizer", kind_of(&run.optimizer));
  require_same("scheduler", kind_of(run.scheduler));
  require_same("ema", kind_of(run.ema));
  if (run.ema) require_same("ema.decay", to_text(run.ema->decay()));
  if (run.train) check_loader("train", *run.train);
  if (run.test) check_loader("test", *run.test);
  require_entries(kModel, run.model.state_dict(), model_);
  require_entries(kOptimizer, run.optimizer.state_dict(), optimizer_);
  if (run.ema) require_entries(kEma, run.ema->state_dict(), ema_);
}

void RunState::restore(const RunParts& run) const {
  const std::uint64_t seed = unsigned_integer("random_seed"), step = unsigned_integer("random_step");
  const std::uint64_t train = run.train ? unsigned_integer("train.epoch") : 0;
  const std::uint64_t test = run.test ? unsigned_integer("test.epoch") : 0;
  const Rates before = rates_of(run);
  try {
    set_rates(run, read_rates(run));
    run.optimizer.load_state_dict(optimizer_);
  } catch (const std::invalid_argument& error) {
    set_rates(run, before);
    throw DataError(name_, safetensors::kLengthBytes, "the state of an optimizer and a schedule", error.what());
  }
  if (run.ema) run.ema->load_state_dict(ema_);
  run.model.init(seed).load_state_dict(model_);
  run.model.set_random_step(step);
  if (run.train) run.train->set_epoch(train);
  if (run.test) run.test->set_epoch(test);
}

void RunState::fail(const std::string& expected, const std::string& found) const {
  throw DataError(name_, safetensors::kLengthBytes, expected, found);
}

void RunState::check_version() const {
  if (!own_.contains(own("version"))) {
    fail("a checkpoint, which save_checkpoint writes", "tensors without the state of a run, as a file of weights alone has");
  }
  if (integer("version") > kMaxVersion) {
    fail(formatted("a checkpoint of version {} or older", kMaxVersion),
         formatted("version {}, of a newer libgpucnn", text("version")));
  }
}

RunPosition RunState::read_position() const {
  constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();
  return {.epoch = static_cast<int>(integer("epoch", kMaxInt)),
          .batches = integer("batches"),
          .train = {.loss_sum = number("train.loss_sum"),
                    .correct = integer("train.correct"),
                    .images = integer("train.images"),
                    .ignored = integer("train.ignored")},
          .seconds = number("seconds"),
          .best_epoch = static_cast<int>(integer("best_epoch", kMaxInt)),
          .best_accuracy = number("best_accuracy")};
}

Rates RunState::read_rates(const RunParts& run) const {
  Rates rates{.lrs = fields().numbers(own("optimizer.lr")), .momenta = fields().numbers(own("optimizer.momentum")), .schedule = {}};
  const std::size_t groups = run.optimizer.groups(), momenta = run.optimizer.has_momentum() ? groups : 0;
  if (rates.lrs.size() != groups || rates.momenta.size() != momenta) {
    throw std::invalid_argument(formatted("the optimizer has {} rates and {} momenta, the checkpoint {} and {}", groups, momenta,
                                          rates.lrs.size(), rates.momenta.size()));
  }
  if (run.scheduler) rates.schedule = fields().numbers(own("scheduler.state"));
  return rates;
}

/// A tensor goes to the part that its name begins with.
void RunState::sort_in(const std::string& name, const Tensor& tensor) {
  for (const auto& [prefix, part] : {std::pair(kModel, &model_), {kOptimizer, &optimizer_}, {kEma, &ema_}}) {
    if (name.starts_with(prefix)) return part->add(name.substr(prefix.size()), tensor);
  }
  fail("tensors of a model, an optimizer or an average", formatted("tensor {}", printable(name, kMaxNameBytes)));
}

void RunState::require_same(std::string_view field, const std::string& here) const {
  if (const std::string& there = text(field); there != here) {
    throw std::invalid_argument(formatted("load_checkpoint: {} has {} {}, this run {}", name_, field, there, here));
  }
}

void RunState::check_loader(const std::string& name, const DataLoader& loader) const {
  require_same(name + ".seed", std::to_string(loader.options().seed));
  require_same(name + ".batch_size", std::to_string(loader.options().batch_size));
  require_same(name + ".examples", std::to_string(loader.dataset().size()));
  if (name == "train" && loaded_.position.batches > loader.size()) {
    fail(formatted("at most {} batches in an epoch", loader.size()), formatted("{}", loaded_.position.batches));
  }
}

void RunState::require_entries(std::string_view prefix, const StateDict& own, const StateDict& given) const {
  require_same_entries(formatted("load_checkpoint: {}", name_), own.with_prefix(prefix), given.with_prefix(prefix));
  for (const auto& [name, tensor] : given) {
    const bool counts = name.starts_with("step.") || name == "n_averaged";
    if (prefix == kModel || !counts || tensor.to_vector<std::int64_t>().front() >= 0) continue;
    fail("a count of steps", formatted("a negative number as {}{}", prefix, printable(name, kMaxNameBytes)));
  }
}

}  // namespace gpucnn
