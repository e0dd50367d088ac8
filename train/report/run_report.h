#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/data_loader.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/train/fit.h>
#include <gpucnn/train/report/examination.h>

namespace gpucnn {

/// The numbers of an epoch, as in metrics.jsonl. Accuracies are parts of 1.
struct GPUCNN_API EpochNumbers {
  int epoch = 0;  ///< from 1
  double train_loss = 0, train_accuracy = 0, test_loss = 0, test_accuracy = 0;
  double lr = 0, seconds = 0, images_per_second = 0;

  static EpochNumbers of(const EpochResult& result);
};

/// A step of a learning-rate range test.
struct RateTrial {
  double lr = 0, loss = 0;
};

/// What a report says of a run besides its numbers. Texts may be anything: no byte of them becomes HTML.
struct RunReportTexts {
  std::string title;                     ///< as "SimpleCNN on CIFAR-10"
  std::vector<std::string> class_names;  ///< by their number
  int epochs = 0;                        ///< that the run will have
  std::string judged = "test";           ///< by which images its epochs are judged, as "validation"
  /// Names and values, in this order.
  std::vector<std::pair<std::string, std::string>> configuration, machine;
};

/// A run as one page of HTML that needs nothing else: no script, no font, no network. It has curves of loss, accuracy and learning
/// rate, the confusion matrix, the accuracy of each class, and the most confident mistakes with Grad-CAM over them. Behind them are
/// the first layer's filters, the table of layers, the configuration and the machine. It is light or dark as the reader's system
/// is, and has one column on a phone. Under 2 MB with texts of usual length.
///
///     RunReport report({.title = "SimpleCNN on CIFAR-10", .class_names = names, .epochs = 10});
///     fit(…, {.on_epoch = [&](const EpochResult& epoch) {
///       report.add(epoch);
///       if (epoch.best) report.look_at(model, test);
///       std::ofstream("report.html") << report.html();
///     }});
class GPUCNN_API RunReport {
 public:
  explicit RunReport(RunReportTexts texts) : texts_(std::move(texts)) {}

  /// The next epoch.
  void add(const EpochNumbers& epoch) { epochs_.push_back(epoch); }
  void add(const EpochResult& epoch) { add(EpochNumbers::of(epoch)); }

  /// What the test images say of the best weights at the end, where other images judged the epochs.
  void add_test(const Metrics& test) { test_ = test; }

  /// A learning-rate range test: rates that rise by one factor from step to step, the loss at each, and the rate that is suggested.
  /// 0 suggests none: the loss falls at no rate.
  void add_rates(std::vector<RateTrial> trials, double suggested);

  /// Takes the weights that the model has now as those that the page shows: its guesses on all images of the loader. The loader
  /// must not shuffle or change them. Images are shown if they have 1 or 3 channels. A model that cannot be cloned, or that
  /// `graph_of` cannot follow, has no heat maps. `epoch` is the one that the weights come from; empty: the last that was added.
  /// Throws what `examine` throws.
  void look_at(Module& model, DataLoader& test, std::optional<int> epoch = {});

  /// The page as it stands now.
  std::string html() const;

  const Examination& examination() const noexcept { return examination_; }

 private:
  struct Shown {
    Mistake mistake;
    std::string image, heat;  // data: URLs; heat may be empty
  };

  void show_mistakes(const Module& model, Device device, DataLoader& test);
  void show_filters(Module& model);
  std::string name_of_class(std::int64_t label) const;
  std::string facts() const;
  std::string curves() const;
  std::string rates() const;
  std::string confusion() const;
  std::string classes() const;
  std::string mistakes() const;

  RunReportTexts texts_;
  std::vector<EpochNumbers> epochs_;
  std::optional<Metrics> test_;
  std::vector<RateTrial> trials_;
  double suggested_lr_ = 0;
  Examination examination_;
  int examined_epoch_ = 0;  // 0: none
  std::vector<Shown> shown_;
  std::string filters_, filters_layer_, summary_;
};

}  // namespace gpucnn
