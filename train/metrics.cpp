#include <gpucnn/train/metrics.h>

#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn {

double Metrics::loss() const noexcept {
  const FloatEnvironment standard;
  return images > ignored ? loss_sum / static_cast<double>(images - ignored) : 0.0;
}

double Metrics::accuracy() const noexcept {
  const FloatEnvironment standard;
  return images > ignored ? static_cast<double>(correct) / static_cast<double>(images - ignored) : 0.0;
}

Metrics& Metrics::operator+=(const Metrics& more) noexcept {
  const FloatEnvironment standard;
  loss_sum += more.loss_sum;
  correct += more.correct;
  images += more.images;
  ignored += more.ignored;
  return *this;
}

}  // namespace gpucnn
