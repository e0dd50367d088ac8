#include <gpucnn/models/fan_out_conv.h>

#include <cmath>

#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn {

Conv2d fan_out_conv(int in_channels, int out_channels, Conv2dOptions options) {
  Conv2d conv(in_channels, out_channels, options);
  Parameter weight = conv.weight(), bias = conv.bias();
  const FloatEnvironment standard;
  weight.set_init(Init::normal(static_cast<float>(std::sqrt(2.0 / static_cast<double>(weight.shape().with(1, 1).numel())))));
  if (bias.defined()) bias.set_init(Init::constant(0));
  return conv;
}

}  // namespace gpucnn
