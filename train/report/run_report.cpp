#include <gpucnn/train/report/run_report.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <stdexcept>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/layers/grad_cam.h>
#include <gpucnn/train/report/first_filters.h>
#include <gpucnn/train/report/html_text.h>
#include <gpucnn/train/report/line_chart.h>
#include <gpucnn/train/report/picture.h>
#include <gpucnn/train/report/style.h>

namespace gpucnn {
namespace {

using report::html_text;

constexpr int kMaxMistakes = 12, kPictureSide = 96;
constexpr std::int64_t kMaxMatrix = 32;  // classes; more have a list of what is confused most
constexpr std::size_t kMaxPairs = 20;
constexpr std::size_t kMaxTable = 2000;  // epochs and classes with a row of their own, so that the page stays small

std::string percent(double part) { return formatted("{:.2f} %", 100 * part); }

std::string clock_of(double seconds) {
  const auto whole = std::llround(seconds);
  if (whole < 60) return formatted("{:.1f} s", seconds);
  if (whole < 3600) return formatted("{}:{:02} min", whole / 60, whole % 60);
  return formatted("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

/// With an upper-case letter at its beginning, whatever the locale.
std::string capitalised(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

std::string fact(std::string_view name, const std::string& value) {
  return formatted("<div><dt>{}</dt><dd>{}</dd></div>", name, value);
}

std::string table_of(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string html = "<table class=\"words\"><tbody>";
  for (const auto& [name, value] : rows)
    html += formatted("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", html_text(name), html_text(value));
  return html + "</tbody></table>";
}

/// A part that scrolls sideways by itself, so that the page does not; a keyboard reaches it.
std::string scrolling(std::string_view label, const std::string& content) {
  return formatted("<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\">{}</div>", label, content);
}

/// Text of several lines.
std::string lines_of(std::string_view text) {
  std::string html;
  for (std::size_t end = text.find('\n'); !text.empty(); end = text.find('\n')) {
    html += html_text(text.substr(0, end)) + '\n';
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return html;
}

template <class Value>
std::vector<double> values_of(const std::vector<EpochNumbers>& epochs, const Value& value) {
  std::vector<double> values;
  values.reserve(epochs.size());
  for (const EpochNumbers& epoch : epochs) values.push_back(value(epoch));
  return values;
}

std::string chart(std::string_view title, const std::vector<report::Series>& series, const std::string& summary, bool from_zero,
                  const report::AxisEnds& ends = {}) {
  std::string key;
  for (std::size_t i = 0; i < series.size() && series.size() > 1; ++i) {
    key += formatted("<span class=\"key key{}\"></span>{}", i, html_text(series[i].name));
  }
  return formatted("<figure><figcaption>{} {}</figcaption>{}</figure>", title, key,
                   report::line_chart(series, summary, from_zero, ends));
}

}  // namespace

EpochNumbers EpochNumbers::of(const EpochResult& result) {
  return {.epoch = result.epoch,
          .train_loss = result.train.loss(),
          .train_accuracy = result.train.accuracy(),
          .test_loss = result.test.loss(),
          .test_accuracy = result.test.accuracy(),
          .lr = result.lr,
          .seconds = result.seconds,
          .images_per_second = result.images_per_second};
}

std::string RunReport::name_of_class(std::int64_t label) const {
  const auto i = static_cast<std::size_t>(label);
  return i < texts_.class_names.size() ? html_text(texts_.class_names[i]) : formatted("class {}", label);
}

void RunReport::look_at(Module& model, DataLoader& test, std::optional<int> epoch) {
  examination_ = examine(model, test, kMaxMistakes);
  examined_epoch_ = epoch.value_or(epochs_.empty() ? 0 : epochs_.back().epoch);
  const Shape image = test.dataset().image_shape();
  summary_ = model.summary({1, image[0], image[1], image[2]});
  show_filters(model);
  show_mistakes(model, model.device(), test);
}

/// The images with their heat maps, computed at once.
void RunReport::show_mistakes(const Module& model, Device device, DataLoader& test) {
  shown_.clear();
  if (examination_.mistakes.empty()) return;
  std::vector<std::int64_t> indices, guesses;
  for (const Mistake& mistake : examination_.mistakes) {
    indices.push_back(mistake.index);
    guesses.push_back(mistake.guess);
  }
  const Dataset& dataset = test.dataset();
  const Shape image = dataset.image_shape();
  if (image[0] != 1 && image[0] != 3) return;
  const Tensor images = dataset.get(indices).inputs.to(Device::cpu());
  std::optional<Tensor> maps;
  try {
    const std::string layer = last_map_layer(model, {1, image[0], image[1], image[2]});
    Stream stream(dataset.device());
    maps = grad_cam(model, dataset.transformed(indices, test.transform(0), stream).inputs.to(device), guesses, layer);
  } catch (const std::logic_error&) {
    // No layer makes maps, `graph_of` does not know one, or one cannot be cloned.
  } catch (const OutOfMemory&) {
    // A run must not end by its report.
  }
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto n = static_cast<std::int64_t>(i);
    const report::Picture picture = report::picture_of(images.narrow(n, 1), kPictureSide);
    Shown shown{examination_.mistakes[i], report::data_url(picture), {}};
    if (maps) shown.heat = report::data_url(report::with_heat(picture, maps->narrow(n, 1)));
    shown_.push_back(std::move(shown));
  }
}

void RunReport::show_filters(Module& model) {
  const auto filters = report::first_filters(model);
  filters_ = filters ? report::data_url(filters->sheet) : "";
  filters_layer_ = filters ? html_text(filters->layer) : "";
}

std::string RunReport::facts() const {
  if (epochs_.empty() && test_) {
    return "<dl class=\"facts\">" + fact("Test accuracy", percent(test_->accuracy())) +
           fact("Test loss", formatted("{:.4f}", test_->loss())) + fact("Test images", formatted("{}", test_->images)) + "</dl>";
  }
  if (epochs_.empty()) return trials_.empty() ? "<p>No epoch has ended yet.</p>" : "";
  const EpochNumbers& last = epochs_.back();
  const auto best = std::ranges::max_element(
      epochs_, {}, [](const EpochNumbers& epoch) { return std::isnan(epoch.test_accuracy) ? -1.0 : epoch.test_accuracy; });
  double seconds = 0;
  for (const EpochNumbers& epoch : epochs_) seconds += epoch.seconds;
  std::string html = "<dl class=\"facts\">";
  const std::string judged = html_text(texts_.judged), title = capitalised(judged);
  html += fact(formatted("Best {} accuracy", judged),
               formatted("{} <span class=\"quiet\">in epoch {}</span>", percent(best->test_accuracy), best->epoch));
  html += fact(title + " accuracy", percent(last.test_accuracy));
  html += fact(title + " loss", formatted("{:.4f}", last.test_loss));
  if (test_) html += fact("Test accuracy", percent(test_->accuracy()) + " <span class=\"quiet\">of the best weights</span>");
  html += fact("Training loss", formatted("{:.4f}", last.train_loss));
  html += fact("Epochs", formatted("{} of {}", last.epoch, std::max(texts_.epochs, last.epoch)));
  html += fact("Time", clock_of(seconds));
  html += fact("Images a second", formatted("{:.0f}", last.images_per_second));
  return html + "</dl>";
}

void RunReport::add_rates(std::vector<RateTrial> trials, double suggested) {
  trials_ = std::move(trials);
  suggested_lr_ = suggested;
}

std::string RunReport::rates() const {
  if (trials_.empty()) return {};
  std::vector<double> losses;
  for (const RateTrial& trial : trials_) losses.push_back(trial.loss);
  const std::string first = formatted("{:.1g}", trials_.front().lr), last = formatted("rate {:.2g}", trials_.back().lr);
  const bool falls = suggested_lr_ > 0;
  const std::string found = falls ? formatted("The loss falls fastest at a learning rate of {:.2g}.", suggested_lr_)
                                  : "The loss falls at none of these learning rates.";
  const std::string where = falls ? formatted("falls fastest at {:.2g}", suggested_lr_) : "falls at none of them";
  return formatted("<h2>Learning-rate range test</h2><p>{}</p><div class=\"charts\">", found) +
         chart("Loss over the learning rate", {{"training", losses}},
               formatted("Loss over learning rates from {} to {:.2g}; it {}.", first, trials_.back().lr, where), true,
               {first, last}) +
         "</div>";
}

std::string RunReport::curves() const {
  if (epochs_.empty()) return {};
  const EpochNumbers& last = epochs_.back();
  const std::string judged = html_text(texts_.judged);
  std::string html = "<h2>Curves</h2><div class=\"charts\">";
  html += chart("Loss",
                {{"training", values_of(epochs_, [](const EpochNumbers& e) { return e.train_loss; })},
                 {texts_.judged, values_of(epochs_, [](const EpochNumbers& e) { return e.test_loss; })}},
                formatted("Loss over {} epochs: training {:.4f}, {} {:.4f} in the last.", epochs_.size(), last.train_loss, judged,
                          last.test_loss),
                true);
  html += chart("Accuracy",
                {{"training", values_of(epochs_, [](const EpochNumbers& e) { return e.train_accuracy; })},
                 {texts_.judged, values_of(epochs_, [](const EpochNumbers& e) { return e.test_accuracy; })}},
                formatted("Accuracy over {} epochs: training {}, {} {} in the last.", epochs_.size(), percent(last.train_accuracy),
                          judged, percent(last.test_accuracy)),
                false);
  html += chart("Learning rate", {{"learning rate", values_of(epochs_, [](const EpochNumbers& e) { return e.lr; })}},
                formatted("Learning rate over {} epochs: {:.3g} in the last.", epochs_.size(), last.lr), true);
  html += "</div><details><summary>All epochs as a table</summary>";
  std::string table = formatted(
      "<table><thead><tr><th scope=\"col\">Epoch</th><th scope=\"col\">Loss</th><th scope=\"col\">Accuracy</th><th "
      "scope=\"col\">{0} loss</th>"
      "<th scope=\"col\">{0} accuracy</th><th scope=\"col\">Learning rate</th><th scope=\"col\">Seconds</th></tr></thead><tbody>",
      capitalised(judged));
  const std::size_t first = epochs_.size() > kMaxTable ? epochs_.size() - kMaxTable : 0;
  for (std::size_t i = first; i < epochs_.size(); ++i) {
    const EpochNumbers& e = epochs_[i];
    table += formatted(
        "<tr><th "
        "scope=\"row\">{}</th><td>{:.4f}</td><td>{:.4f}</td><td>{:.4f}</td><td>{:.4f}</td><td>{:.3g}</td><td>{:.1f}</td></tr>",
        e.epoch, e.train_loss, e.train_accuracy, e.test_loss, e.test_accuracy, e.lr, e.seconds);
  }
  return html + scrolling("Epochs", table + "</tbody></table>") + "</details>";
}

namespace {

/// Pairs of label and guess that differ, the most frequent first.
std::vector<std::pair<std::int64_t, std::int64_t>> confused_pairs(const Examination& found) {
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  for (std::int64_t label = 0; label < found.classes; ++label) {
    for (std::int64_t guess = 0; guess < found.classes; ++guess) {
      if (label != guess && found.count(label, guess) > 0) pairs.emplace_back(label, guess);
    }
  }
  std::ranges::stable_sort(pairs, std::greater<>(), [&](const auto& pair) { return found.count(pair.first, pair.second); });
  if (pairs.size() > kMaxPairs) pairs.resize(kMaxPairs);
  return pairs;
}

}  // namespace

std::string RunReport::confusion() const {
  const Examination& found = examination_;
  std::string html = "<h2>Confusion matrix</h2>";
  if (found.classes > kMaxMatrix) {
    std::string table =
        "<table><thead><tr><th scope=\"col\">Label</th><th scope=\"col\">Guess</th><th "
        "scope=\"col\">Images</th></tr></thead><tbody>";
    for (const auto& [label, guess] : confused_pairs(found)) {
      table += formatted("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>", name_of_class(label), name_of_class(guess),
                         found.count(label, guess));
    }
    return html + "<p class=\"quiet\">What is confused most often.</p>" + scrolling("Confusions", table + "</tbody></table>");
  }
  std::string table = "<table class=\"matrix\"><thead><tr><th scope=\"col\">label \\ guess</th>";
  for (std::int64_t guess = 0; guess < found.classes; ++guess)
    table += formatted("<th scope=\"col\">{}</th>", name_of_class(guess));
  table += "</tr></thead><tbody>";
  for (std::int64_t label = 0; label < found.classes; ++label) {
    table += formatted("<tr><th scope=\"row\">{}</th>", name_of_class(label));
    const auto images = static_cast<double>(std::max<std::int64_t>(found.images(label), 1));
    for (std::int64_t guess = 0; guess < found.classes; ++guess) {
      const std::int64_t count = found.count(label, guess);
      const double level = 10 * std::sqrt(static_cast<double>(count) / images);
      table += formatted("<td{} style=\"--l:{:.1f}\">{}</td>", label == guess ? " class=\"right\"" : "", level, count);
    }
    table += "</tr>";
  }
  return html + "<p class=\"quiet\">Rows are labels, columns are guesses; a number counts " + html_text(texts_.judged) +
         " images.</p>" + scrolling("Confusion matrix", table + "</tbody></table>");
}

std::string RunReport::classes() const {
  std::string table =
      "<table><thead><tr><th scope=\"col\">Class</th><th scope=\"col\">Images</th><th scope=\"col\">Right</th>"
      "<th scope=\"col\">Accuracy</th><td></td></tr></thead><tbody>";
  const std::int64_t count = std::min(examination_.classes, static_cast<std::int64_t>(kMaxTable));
  for (std::int64_t label = 0; label < count; ++label) {
    const std::int64_t images = examination_.images(label), right = examination_.count(label, label);
    const double part = images > 0 ? static_cast<double>(right) / static_cast<double>(images) : 0.0;
    table += formatted("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td>", name_of_class(label), images, right,
                       images > 0 ? percent(part) : "");
    table += formatted("<td aria-hidden=\"true\"><span class=\"bar\"><i style=\"width:{:.1f}%\"></i></span></td></tr>", 100 * part);
  }
  return "<h2>Classes</h2>" + scrolling("Accuracy of each class", table + "</tbody></table>");
}

std::string RunReport::mistakes() const {
  if (shown_.empty()) return {};
  std::string html =
      "<h2>Most confident mistakes</h2><p class=\"quiet\">Beside each image: where the network saw the class that it guessed "
      "(Grad-CAM; red is most).</p><div class=\"mistakes\">";
  for (const Shown& shown : shown_) {
    const std::string label = name_of_class(shown.mistake.label), guess = name_of_class(shown.mistake.guess);
    html += formatted("<figure><div class=\"pair\"><img src=\"{}\" alt=\"{} image {}, a {}\">", shown.image,
                      capitalised(html_text(texts_.judged)), shown.mistake.index, label);
    if (!shown.heat.empty()) html += formatted("<img src=\"{}\" alt=\"Heat map of {}\">", shown.heat, guess);
    html += formatted("</div><figcaption>{}, guessed {} with {:.1f}&#160;%</figcaption></figure>", label, guess,
                      100 * shown.mistake.probability);
  }
  return html + "</div>";
}

std::string RunReport::html() const {
  const std::string title = html_text(texts_.title);
  std::string page = formatted(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>{}</title><style>{}</style></head><body><main>\n<h1>{}</h1>\n",
      title, report::kStyle, title);
  page += facts() + '\n' + rates() + curves() + '\n';
  if (examination_.classes > 0) {
    const std::string which = examined_epoch_ > 0 ? formatted("after epoch {}", examined_epoch_) : "that were given";
    page += formatted("<p class=\"quiet\">What follows is of the weights {}: {} of {} {} images are right.</p>\n", which,
                      examination_.correct(), examination_.images(), html_text(texts_.judged));
    page += confusion() + '\n' + classes() + '\n' + mistakes() + '\n';
  }
  if (!filters_.empty()) {
    page += formatted(
        "<h2>First filters</h2><p class=\"quiet\">{}: grey is a weight of 0.</p><img class=\"filters\" src=\"{}\" alt=\"The "
        "filters of the "
        "first "
        "convolution\">\n",
        filters_layer_, filters_);
  }
  if (!summary_.empty()) page += "<h2>Layers</h2>" + scrolling("Layers", "<pre>" + lines_of(summary_) + "</pre>") + '\n';
  page += "<h2>Configuration</h2>" + scrolling("Configuration", table_of(texts_.configuration)) + '\n';
  page += "<h2>Machine</h2>" + scrolling("Machine", table_of(texts_.machine)) + '\n';
  return page + "</main></body></html>\n";
}

}  // namespace gpucnn
