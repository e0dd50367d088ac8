#include <gpucnn/layers/grad_cam.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/copy/cast.h>
#include <gpucnn/layers/graph/model_graph.h>
#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {
namespace {

/// f32 on the CPU; a copy, because layers may work in place.
Tensor host_copy(const Tensor& tensor) {
  Tensor here = tensor.to(Device::cpu());
  if (here.dtype() == DType::f32) return here.clone();
  Tensor wide = Tensor::empty(here.shape());
  Stream stream(Device::cpu());
  kernels::cast(here, wide, stream);
  return wide;
}

/// 1 for the logit of each image's class, 0 for the others.
Tensor one_hot(const Tensor& logits, std::span<const std::int64_t> classes) {
  const Shape& shape = logits.shape();
  if (shape.rank() != 2) {
    throw std::invalid_argument(formatted("grad_cam: expects a model that gives [N, classes], got {}", shape.string()));
  }
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t n = 0; n < classes.size(); ++n) {
    if (classes[n] < 0 || classes[n] >= shape[1]) {
      throw std::invalid_argument(formatted("grad_cam: class {} is not one of 0 to {}", classes[n], shape[1] - 1));
    }
    values[n * static_cast<std::size_t>(shape[1]) + static_cast<std::size_t>(classes[n])] = 1;
  }
  return Tensor::from(values, shape, logits.device());
}

/// max(0, sum over k of A[k] * mean of G[k]) of an image; channels lie side by side.
void weigh_channels(const float* output, const float* gradient, std::int64_t points, std::int64_t channels, float* map) {
  std::vector<double> means(static_cast<std::size_t>(channels));
  for (std::int64_t i = 0; i < points * channels; ++i) means[static_cast<std::size_t>(i % channels)] += double{gradient[i]};
  for (double& mean : means) mean /= static_cast<double>(points);
  for (std::int64_t point = 0; point < points; ++point) {
    double sum = 0;
    for (std::int64_t k = 0; k < channels; ++k) sum += double{output[point * channels + k]} * means[static_cast<std::size_t>(k)];
    map[point] = sum < 0 ? 0.0F : static_cast<float>(sum);  // NaN stays
  }
}

/// Where an output pixel lies between two inputs, as with align_corners=False.
struct Between {
  std::int64_t first, second;
  double part;  // of the second
};

Between between(std::int64_t to, std::int64_t outputs, std::int64_t inputs) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  const double at = std::max(0.0, (static_cast<double>(to) + 0.5) * scale - 0.5);
  const auto first = std::min(static_cast<std::int64_t>(at), inputs - 1);
  return {first, std::min(first + 1, inputs - 1), at - static_cast<double>(first)};
}

void upsample(const float* map, std::int64_t h, std::int64_t w, std::int64_t height, std::int64_t width, float* to) {
  for (std::int64_t y = 0; y < height; ++y) {
    const Between rows = between(y, height, h);
    for (std::int64_t x = 0; x < width; ++x) {
      const Between columns = between(x, width, w);
      const auto row = [&](std::int64_t i) {
        const double left = map[i * w + columns.first], right = map[i * w + columns.second];
        return left * (1 - columns.part) + right * columns.part;
      };
      to[y * width + x] = static_cast<float>(row(rows.first) * (1 - rows.part) + row(rows.second) * rows.part);
    }
  }
}

}  // namespace

Tensor grad_cam(const Module& model, const Tensor& images, std::span<const std::int64_t> classes, std::string_view layer) {
  if (images.defined() && images.rank() > 0 && images.shape()[0] != static_cast<std::int64_t>(classes.size())) {
    throw std::invalid_argument(formatted("grad_cam: got {} classes for images of {}", classes.size(), images.shape().string()));
  }
  // All layers have a backward, and none computes the gradient of a parameter.
  const std::unique_ptr<Module> copy = model.clone();
  copy->eval().requires_grad(false).set_input_grad(true);
  Module& module = copy->at(layer);
  Tensor output, gradient;
  module.register_forward_hook([&output](const Module&, const Tensor&, const Tensor& y) { output = host_copy(y); });
  module.register_full_backward_hook([&gradient](const Module&, const Tensor&, const Tensor& dy) { gradient = host_copy(dy); });
  const Tensor logits = (*copy)(images);
  if (!output.defined() || output.rank() != 4) {
    throw std::invalid_argument(formatted("grad_cam: expects a layer that makes [N, K, h, w]; {} makes {}", module.label(),
                                          output.defined() ? output.shape().string() : "nothing"));
  }
  copy->backward(one_hot(logits, classes));
  const Shape& shape = output.shape();
  const std::int64_t points = shape[2] * shape[3];
  Tensor maps = Tensor::zeros({shape[0], shape[2], shape[3]});
  if (!gradient.defined()) return maps;  // no logit depends on it
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    const std::int64_t first = n * points * shape[1];
    weigh_channels(std::as_const(output).data<float>() + first, std::as_const(gradient).data<float>() + first, points, shape[1],
                   maps.data<float>() + n * points);
  }
  return maps;
}

Tensor grad_cam(const Module& model, const Tensor& images, std::int64_t class_index, std::string_view layer) {
  const std::int64_t count = images.defined() && images.rank() > 0 ? images.shape()[0] : 0;
  const std::vector<std::int64_t> classes(static_cast<std::size_t>(count), class_index);
  return grad_cam(model, images, classes, layer);
}

Tensor upsampled_map(const Tensor& map, std::int64_t height, std::int64_t width) {
  if (!map.defined() || map.rank() != 3 || map.dtype() != DType::f32 || map.device() != Device::cpu() || height < 1 || width < 1 ||
      map.shape()[1] < 1 || map.shape()[2] < 1) {
    throw std::invalid_argument(
        formatted("upsampled_map: expects an f32 map [N, h, w] on the CPU and sizes of at least 1, got {}, {} and {}",
                  map.defined() ? map.shape().string() : "an undefined tensor", height, width));
  }
  const std::int64_t N = map.shape()[0], h = map.shape()[1], w = map.shape()[2];
  Tensor large = Tensor::empty({N, height, width});
  for (std::int64_t n = 0; n < N; ++n) {
    float* to = large.data<float>() + n * height * width;
    upsample(map.data<float>() + n * h * w, h, w, height, width, to);
    const bool finite = std::all_of(to, to + height * width, [](float value) { return std::isfinite(value); });
    const float largest = *std::max_element(to, to + height * width);
    if (finite && largest > 0) std::transform(to, to + height * width, to, [largest](float value) { return value / largest; });
  }
  return large;
}

std::string last_map_layer(const Module& model, const Shape& x) {
  const ModelGraph graph = graph_of(model, x);
  const std::vector<std::string> paths = ModuleTree(const_cast<Module&>(model), {}).paths;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Shape& shape = graph.values[static_cast<std::size_t>(graph.nodes[i].output)];
    if (shape.rank() != 4 || shape[2] * shape[3] <= 1) continue;
    // A node may be a part of what a module does, as the sum at the end of a block.
    std::string path = graph.nodes[i].path;
    while (!path.empty() && std::ranges::find(paths, path) == paths.end())
      path.resize(path.rfind('.') == std::string::npos ? 0 : path.rfind('.'));
    if (!path.empty()) return path;
  }
  throw std::invalid_argument(formatted("last_map_layer: no layer of {} makes maps [N, K, h, w]", model.kind()));
}

}  // namespace gpucnn
