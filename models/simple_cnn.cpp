#include <gpucnn/models/simple_cnn.h>

#include <typeinfo>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/models/image_shape.h>

namespace gpucnn {
namespace {

/// The features of an image: it is halved twice.
int features(const Shape& image) {
  const ImageShape size = image_shape("SimpleCNN", image, 4);
  return 32 * (size.height / 4) * (size.width / 4);
}

}  // namespace

SimpleCNN::SimpleCNN(int num_classes, const Shape& image) : SimpleCNN(num_classes, features(image), static_cast<int>(image[0])) {}

SimpleCNN::SimpleCNN(int num_classes, int features, int channels)
    : Sequential{{"features",
                  Sequential{                                                         // [N, 3, 32, 32]
                             Conv2d(channels, 16, {.kernel_size = 3, .padding = 1}),  // [N, 16, 32, 32]
                             ReLU(),                                                  //
                             MaxPool2d(2, 2),                                         // [N, 16, 16, 16]
                             Conv2d(16, 32, {.kernel_size = 3, .padding = 1}),        // [N, 32, 16, 16]
                             ReLU(),                                                  //
                             MaxPool2d(2, 2)}},                                       // [N, 32, 8, 8]
                 {"classifier", Sequential{Flatten(),                                 // [N, 2048]
                                           Linear(features, 128),                     // [N, 128]
                                           ReLU(),                                    //
                                           Dropout(0.5),                              //
                                           Linear(128, num_classes)}}} {}             // [N, num_classes]

bool SimpleCNN::takes_ends() const { return typeid(*this) == typeid(SimpleCNN); }

std::unique_ptr<Module> SimpleCNN::copy() const { return copied_into(std::make_unique<SimpleCNN>()); }

}  // namespace gpucnn
