#include <gpucnn/io/export_c.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <gpucnn/core/config.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/atomic_file.h>
#include <gpucnn/io/c_source/c_functions.h>
#include <gpucnn/io/c_source/c_network.h>
#include <gpucnn/io/c_source/c_text.h>
#include <gpucnn/layers/graph/model_graph.h>

namespace gpucnn {
namespace {

constexpr std::size_t kMaxString = 4095;  // what every C99 compiler takes, section 5.2.4.1
constexpr std::size_t kColumns = 100;

/// A file in pieces, for that of a large network has hundreds of megabytes.
class CFile {
 public:
  explicit CFile(const std::filesystem::path& path) : file_(path) {}

  void write(std::string_view text) {
    constexpr std::size_t kPiece = 1U << 20U;
    waiting_ += text;
    if (waiting_.size() >= kPiece) flush();
  }
  /// A text of c_functions.h.
  void write(std::string_view text, std::string_view prefix) {
    for (std::size_t at = text.find('$'); at != std::string_view::npos; at = text.find('$')) {
      write(text.substr(0, at));
      write(prefix);
      text.remove_prefix(at + 1);
    }
    write(text);
  }
  void commit() {
    flush();
    file_.commit();
  }

 private:
  void flush() {
    file_.write(std::string_view(waiting_));
    waiting_.clear();
  }

  AtomicFile file_;
  std::string waiting_;
};

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("export_c: " + what); }

void check_shape(const Shape& x) {
  if (x.rank() < 2 || x.numel() == 0)
    refuse(formatted("the input's shape is {}; it must be of one input, as [1, 3, 32, 32]", x.string()));
  if (x[0] != 1)
    refuse(formatted("the input's shape is {}; the exported function takes one input, so its first extent must be 1", x.string()));
}

/// That options say as much as the network has.
void check_options(const ExportCOptions& options, const Shape& x, const Shape& y) {
  const std::size_t classes = options.class_names.size();
  if (classes != 0 && std::cmp_not_equal(classes, y.numel())) {
    refuse(formatted("{} class_names for a network of {} outputs", classes, y.numel()));
  }
  for (const std::string& name : options.class_names) {
    if (name.size() > kMaxString) {
      refuse(formatted("the class name {} has {} bytes, and a C string {} at most", printable(name, kMaxNameBytes), name.size(),
                       kMaxString));
    }
  }
  if (options.mean.empty() && options.std.empty()) return;
  if (std::cmp_not_equal(options.mean.size(), x[1]) || std::cmp_not_equal(options.std.size(), x[1])) {
    refuse(formatted("{} values of mean and {} of std for an input of {} channels", options.mean.size(), options.std.size(), x[1]));
  }
  for (const auto* values : {&options.mean, &options.std}) {
    if (!std::ranges::all_of(*values, [](double value) { return std::isfinite(value); })) refuse("mean and std must be finite");
  }
}

std::string upper_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

/// [1, 3, 32, 32] as [3, 32, 32].
std::string without_batch(const Shape& shape) { return '[' + joined(std::span(shape.begin() + 1, shape.end()), ", ") + ']'; }

/// What the functions take from <math.h>, each once.
std::string math_of(const CNetwork& network) {
  std::set<std::string_view> names;
  for (const CFunction& function : c_functions()) {
    if (!function.math.empty() && network.functions.contains(function.name)) names.insert(function.math);
  }
  return joined(names, ", ");
}

/// What a reader must know, as the file's first comment.
std::string banner(const CNetwork& network, const std::string& prefix, const Shape& x, const Shape& y,
                   const ExportCOptions& options) {
  const std::string math = math_of(network);
  std::string text = formatted("/* A network of {} weights, written by libgpucnn {}. C99, without a library.\n\n",
                               grouped(network.weights), kVersion);
  text += formatted("     void {}_predict(const float *input, float *output);\n\n", prefix);
  text += formatted("   input:  {} floats, {}{}.\n", grouped(x.numel()), without_batch(x),
                    x.rank() == 4 ? ", one channel after the other" : "");
  text += formatted("   output: {} floats, {}. It must not overlap the input.\n", grouped(y.numel()), without_batch(y));
  if (!options.mean.empty()) {
    text += formatted("   The network was trained on (value - {0}_mean[c]) / {0}_std[c], with values from 0 to 1.\n", prefix);
  }
  text += formatted("   Static memory: {} bytes for what lies between layers, and {} bytes of constants. One call at a time.\n",
                    grouped(4 * network.floats), grouped(4 * network.weights));
  if (math == "INFINITY")
    text += "   Of <math.h> it needs the macro INFINITY, and no function.\n";
  else if (!math.empty())
    text += formatted("   Of <math.h> it needs {}: link with -lm.\n", math);
  return text + "*/\n";
}

void write_macros(CFile& file, const std::string& prefix, const Shape& x, const Shape& y) {
  const std::string name = upper_case(prefix);
  file.write(formatted("\n#define {}_INPUT_SIZE {}\n", name, x.numel()));
  if (x.rank() == 4) {
    file.write(formatted("#define {0}_CHANNELS {1}\n#define {0}_HEIGHT {2}\n#define {0}_WIDTH {3}\n", name, x[1], x[2], x[3]));
  }
  file.write(formatted("#define {}_OUTPUT_SIZE {}\n", name, y.numel()));
}

/// An array's elements, in lines.
template <class Values, class Text>
void write_elements(CFile& file, const Values& values, const Text& text) {
  std::size_t column = kColumns;
  for (const auto& value : values) {
    const std::string constant = text(value) + ',';
    if (column + 1 + constant.size() > kColumns) {
      file.write("\n ");
      column = 1;
    }
    file.write(" " + constant);
    column += 1 + constant.size();
  }
  file.write("\n};\n");
}

/// What the caller may ask for: declared first, so that no compiler misses a declaration.
void write_public_constants(CFile& file, const std::string& prefix, const ExportCOptions& options) {
  for (const auto& [name, values] : {std::pair{"mean", &options.mean}, std::pair{"std", &options.std}}) {
    if (values->empty()) continue;
    file.write(formatted("\nextern const float {0}_{1}[{2}];\nconst float {0}_{1}[{2}] = {{", prefix, name, values->size()));
    write_elements(file, *values,
                   [](double value) { return c_float(static_cast<float>(value), ExportCOptions::Numbers::decimal); });
  }
  if (options.class_names.empty()) return;
  file.write(formatted("\nextern const char *const {0}_class_names[{1}];\nconst char *const {0}_class_names[{1}] = {{", prefix,
                       options.class_names.size()));
  write_elements(file, options.class_names, c_string);
}

void write_functions(CFile& file, const CNetwork& network, const std::string& prefix) {
  bool has_window = false;
  for (const CFunction& function : c_functions()) {
    if (!network.functions.contains(function.name)) continue;
    if (function.takes_window && !std::exchange(has_window, true)) file.write(kCWindow, prefix);
    file.write(function.text, prefix);
  }
}

void write_predict(CFile& file, const CNetwork& network, const std::string& prefix) {
  file.write(formatted(
      "\nvoid {0}_predict(const float *input, float *output);\n\nvoid {0}_predict(const float *input, float *output) {{\n",
      prefix));
  if (network.floats > 0) file.write(formatted("  static float memory[{}];\n", network.floats));
  file.write(network.calls);
  file.write("}\n");
}

}  // namespace

void export_c(const Module& model, const Shape& x, const std::filesystem::path& file, const ExportCOptions& options) {
  check_shape(x);
  ModelGraph graph = graph_of(model, x);
  const Shape y = graph.values[static_cast<std::size_t>(graph.output)];
  check_options(options, x, y);
  graph.fold_batch_norm();
  const std::string prefix = c_name(options.name);
  const CNetwork network = c_network(graph, prefix);

  CFile out(file);
  out.write(banner(network, prefix, x, y, options));
  if (!math_of(network).empty()) out.write("\n#include <math.h>\n");
  write_macros(out, prefix, x, y);
  write_public_constants(out, prefix, options);
  for (const CNetwork::Constant& constant : network.constants) {
    out.write(formatted("\nstatic const float {}[{}] = {{", constant.name, constant.values.size()));
    write_elements(out, constant.values, [&](float value) { return c_float(value, options.numbers); });
  }
  write_functions(out, network, prefix);
  write_predict(out, network, prefix);
  out.commit();
}

}  // namespace gpucnn
