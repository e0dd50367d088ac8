// A plug-in: a network of convolutions of several kinds, behind one C function.
#include <gpucnn/gpucnn.h>

extern "C" [[gnu::visibility("default")]] float predict_sum(int threads) {
  gpucnn::set_num_threads(threads);
  gpucnn::Sequential model{gpucnn::Conv2d(3, 8, {.kernel_size = 5, .padding = 2}), gpucnn::ReLU(),
                           gpucnn::Conv2d(8, 8, {.kernel_size = 3, .padding = 1}), gpucnn::ReLU(), gpucnn::MaxPool2d(2)};
  const gpucnn::Tensor y = model.predict(gpucnn::Tensor::randn({16, 3, 16, 16}, 1));
  float sum = 0;
  for (const float value : y.to_vector<float>()) sum += value;
  return sum;
}
