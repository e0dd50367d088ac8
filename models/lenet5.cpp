#include <gpucnn/models/lenet5.h>

#include <algorithm>

#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/models/image_shape.h>

namespace gpucnn {

Sequential lenet5(const LeNet5Options& o) {
  const ImageShape image = image_shape("lenet5", o.image, 12);
  const int padding = std::min(image.height, image.width) < 32 ? 2 : 0;
  const auto side = [padding](int given) { return ((given + 2 * padding - 4) / 2 - 4) / 2; };      // of S4
  return Sequential{{"conv1", Conv2d(image.channels, 6, {.kernel_size = 5, .padding = padding})},  // C1: [N, 6, 28, 28]
                    {"tanh1", Tanh()},                                                             //
                    {"pool1", AvgPool2d(2)},                                                       // S2: [N, 6, 14, 14]
                    {"conv2", Conv2d(6, 16, {.kernel_size = 5})},                                  // C3: [N, 16, 10, 10]
                    {"tanh2", Tanh()},                                                             //
                    {"pool2", AvgPool2d(2)},                                                       // S4: [N, 16, 5, 5]
                    {"flatten", Flatten()},                                                        //
                    {"fc1", Linear(16 * side(image.height) * side(image.width), 120)},             // C5: [N, 120]
                    {"tanh3", Tanh()},                                                             //
                    {"fc2", Linear(120, 84)},                                                      // F6: [N, 84]
                    {"tanh4", Tanh()},                                                             //
                    {"fc3", Linear(84, o.num_classes)}};                                           // [N, num_classes]
}

}  // namespace gpucnn
