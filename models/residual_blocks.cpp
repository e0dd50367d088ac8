#include <gpucnn/models/residual_blocks.h>

#include <utility>
#include <vector>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/models/fan_out_conv.h>

namespace gpucnn {

namespace {

Conv2d conv1x1(int in, int out, int stride = 1) {
  return fan_out_conv(in, out, {.kernel_size = 1, .stride = stride, .bias = false});
}

Conv2d conv3x3(int in, int out, int stride = 1) {
  return fan_out_conv(in, out, {.kernel_size = 3, .stride = stride, .padding = 1, .bias = false});
}

/// The last one of a block: from 0 on the block is the identity at first.
BatchNorm2d last_norm(int channels, const StageOptions& options) {
  BatchNorm2d norm(channels);
  if (options.zero_init_residual) norm.weight().set_init(Init::constant(0));
  return norm;
}

/// `body` with the shortcut that it needs: none where x has y's shape, else a projection.
ResidualBlock block(std::vector<Child> body, int in, int out, int stride) {
  if (stride == 1 && in == out) return ResidualBlock(std::move(body));
  return ResidualBlock(std::move(body), {"downsample", Sequential{conv1x1(in, out, stride), BatchNorm2d(out)}});
}

template <class... Named>
std::vector<Child> list(Named&&... named) {
  std::vector<Child> children;
  (children.push_back(std::forward<Named>(named)), ...);
  return children;
}

ResidualBlock basic_block(int in, int stride, const StageOptions& o) {
  return block(list(Child{"conv1", conv3x3(in, o.channels, stride)},  //
                    Child{"bn1", BatchNorm2d(o.channels)},            //
                    Child{"relu", ReLU()},                            //
                    Child{"conv2", conv3x3(o.channels, o.channels)},  //
                    Child{"bn2", last_norm(o.channels, o)}),
               in, o.channels, stride);
}

ResidualBlock bottleneck(int in, int stride, const StageOptions& o) {
  return block(list(Child{"conv1", conv1x1(in, o.channels)},                  //
                    Child{"bn1", BatchNorm2d(o.channels)},                    //
                    Child{"relu1", ReLU()},                                   //
                    Child{"conv2", conv3x3(o.channels, o.channels, stride)},  //
                    Child{"bn2", BatchNorm2d(o.channels)},                    //
                    Child{"relu2", ReLU()},                                   //
                    Child{"conv3", conv1x1(o.channels, 4 * o.channels)},      //
                    Child{"bn3", last_norm(4 * o.channels, o)}),
               in, 4 * o.channels, stride);
}

/// Blocks that make `out` channels each.
Sequential blocks(ResidualBlock (*make)(int in, int stride, const StageOptions& o), int out, const StageOptions& options) {
  Sequential stage;
  for (int i = 0; i < options.count; ++i) {
    const bool first = i == 0;
    stage.push_back(make(first ? options.in_channels : out, first ? options.stride : 1, options));
  }
  return stage;
}

}  // namespace

Sequential basic_blocks(const StageOptions& options) { return blocks(basic_block, options.channels, options); }

Sequential bottlenecks(const StageOptions& options) { return blocks(bottleneck, 4 * options.channels, options); }

}  // namespace gpucnn
