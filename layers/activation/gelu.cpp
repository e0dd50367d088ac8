#include <gpucnn/layers/activation/gelu.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

Activation::Kind kind_of(std::string_view approximate) {
  if (approximate == "none") return Activation::gelu;
  if (approximate == "tanh") return Activation::gelu_tanh;
  throw std::invalid_argument(formatted("GELU: approximate must be \"none\" or \"tanh\", got \"{}\"", approximate));
}

}  // namespace

GELU::GELU(std::string_view approximate) : ActivationLayer({kind_of(approximate)}) {}

}  // namespace gpucnn
