#include <gpucnn/layers/gradcheck.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/kernels/common/check.h>

namespace gpucnn {

GradientError::GradientError(const std::string& tensor, std::int64_t element, double backward, double numeric)
    : Error(formatted("gradcheck: element {} of {}: backward gives {}, the difference quotient is {}", element, tensor, backward,
                      numeric)),
      tensor_(tensor),
      element_(element),
      backward_(backward),
      numeric_(numeric) {}

GradientError::~GradientError() = default;

namespace {

/// Opens `shape_of`, whose refusals name the module.
struct Labelled : Module {
  using Module::shape_of;
};

/// One check of one module.
class Gradcheck {
 public:
  Gradcheck(Module& module, const Shape& x, const GradcheckOptions& options)
      : module_(module),
        options_(options),
        had_input_grad_(module.input_grad()),
        x_(Tensor::randn(x, options.seed).to_vector<float>()),
        x_shape_(x),
        dy_shape_(Labelled::shape_of(module, x)),
        dy_(Tensor::randn(dy_shape_, options.seed + 1).to_vector<float>()),
        random_step_(module.random_step()) {
    for (const auto& [name, tensor] : module.state_dict()) before_.add(name, tensor.clone());
    module.set_input_grad(true);
  }
  ~Gradcheck() {
    try {
      module_.load_state_dict(before_);
      module_.set_random_step(random_step_);
      module_.zero_grad();
      module_.set_input_grad(had_input_grad_);
    } catch (const std::exception&) {  // the device is gone, and the module with it
    }
  }
  Gradcheck(const Gradcheck&) = delete;
  Gradcheck& operator=(const Gradcheck&) = delete;

  GradcheckResult run() {
    module_.zero_grad();
    forward();
    const Tensor dx = module_.backward(Tensor::from(dy_, dy_shape_, module_.device()));
    if (dx.shape() != x_shape_ || !dx.defined()) {
      throw std::logic_error(formatted("{}: backward must give the gradient of x, {}, gave {}", module_.label(), x_shape_.string(),
                                       dx.defined() ? dx.shape().string() : "none"));
    }
    compare("x", dx.to_vector<float>(), x_, [] {});
    for (Parameter& parameter : module_.parameters()) {
      if (!parameter.requires_grad()) continue;
      std::vector<float> values = parameter.value().to_vector<float>();
      const std::vector<float> gradient =
          parameter.has_grad() ? parameter.grad().to_vector<float>() : std::vector<float>(values.size());
      compare(parameter.name(), gradient, values, [&] { parameter.set_value(Tensor::from(values, parameter.shape())); });
    }
    return result_;
  }

 private:
  Tensor forward() {
    module_.set_random_step(random_step_);
    return module_(Tensor::from(x_, x_shape_, module_.device()));
  }

  /// sum of y * dy.
  double loss() {
    const std::vector<float> y = forward().to_vector<float>();
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += static_cast<double>(y[i]) * static_cast<double>(dy_[i]);
    return sum;
  }

  struct Quotient {
    double central, kink;  ///< kink: how far the quotients of the two sides differ
  };

  /// The difference quotients by `value`, which `put` makes the module's.
  template <class Put>
  Quotient quotient(float& value, double here, double by, const Put& put) {
    const float before = value;
    const auto at = [&](double step) {
      value = static_cast<float>(static_cast<double>(before) + step);
      put();
      return std::pair(loss(), static_cast<double>(value) - static_cast<double>(before));  // the step that f32 made of it
    };
    const auto [above, up] = at(by);
    const auto [below, down] = at(-by);
    value = before;
    put();
    return {(above - below) / (up - down), std::abs((above - here) / up - (here - below) / -down)};
  }

  template <class Put>
  void compare(const std::string& name, const std::vector<float>& gradient, std::vector<float>& values, const Put& put) {
    const double here = loss();
    const std::size_t count = std::min(values.size(), static_cast<std::size_t>(options_.max_elements));
    std::vector<std::pair<std::size_t, Quotient>> quotients;
    double largest = 1;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t e = i * values.size() / count;
      quotients.emplace_back(e, quotient(values[e], here, options_.step, put));
      if (std::isfinite(quotients.back().second.central)) largest = std::max(largest, std::abs(quotients.back().second.central));
    }
    for (const auto& [e, whole_step] : quotients) {
      const auto backward = static_cast<double>(gradient[e]);
      Quotient numeric = whole_step;
      const auto allowed = [&] { return options_.rtol * std::abs(numeric.central) + options_.atol * largest; };
      const auto agrees = [&] { return std::abs(backward - numeric.central) <= allowed(); };
      // Smaller steps do not reach a kink that is near.
      for (const double part : {1.0 / 4, 1.0 / 16}) {
        if (!agrees()) numeric = quotient(values[e], here, part * options_.step, put);
      }
      if (agrees()) {
        ++result_.compared;
      } else if (std::isfinite(backward) && is_between_the_sides(backward, numeric, allowed())) {
        ++result_.skipped;
      } else {
        throw GradientError(name, static_cast<std::int64_t>(e), backward, numeric.central);
      }
    }
  }

  /// At a kink the derivative is somewhere between the quotients of the two sides; a smooth curve's differ by little.
  static bool is_between_the_sides(double backward, const Quotient& numeric, double allowed) {
    return numeric.kink > 4 * allowed && std::abs(backward - numeric.central) <= numeric.kink / 2 + allowed;
  }

  Module& module_;
  const GradcheckOptions& options_;
  const bool had_input_grad_;
  std::vector<float> x_;
  Shape x_shape_, dy_shape_;
  std::vector<float> dy_;
  std::uint64_t random_step_;
  StateDict before_;
  GradcheckResult result_;
};

}  // namespace

GradcheckResult gradcheck(Module& module, const Shape& x, const GradcheckOptions& options) {
  constexpr const char* kName = "gradcheck";
  kernels::check_value(kName, "step", options.step, options.step > 0 && std::isfinite(options.step), "finite and above 0");
  kernels::check_value(kName, "rtol", options.rtol, options.rtol >= 0, "at least 0");
  kernels::check_value(kName, "atol", options.atol, options.atol >= 0, "at least 0");
  kernels::check_value(kName, "max_elements", options.max_elements, options.max_elements >= 1, "at least 1");
  const FloatEnvironment standard;
  return Gradcheck(module, x, options).run();
}

}  // namespace gpucnn
