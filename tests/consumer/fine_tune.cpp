// Fine-tuning: a resnet18 whose body comes from a file, as from PyTorch, and stays as it is learns other classes by a new head.
#include <algorithm>
#include <cstdio>

#include <gpucnn/gpucnn.h>

using namespace gpucnn;
double learn(Sequential& model, const DatasetSplits& shapes, int classes) {  // ten, or five of two shapes each
  const auto loader = [&](const TensorDataset& set) {
    std::vector<std::int32_t> labels = set.labels().to_vector<std::int32_t>();
    for (std::int32_t& label : labels) label %= classes;
    return DataLoader(TensorDataset(set.images(), Tensor::from(labels, {labels.size()})), {.batch_size = 50, .shuffle = true});
  };
  DataLoader train = loader(shapes.train), test = loader(shapes.test);
  Adam optimizer(model.parameters(), {.lr = 0.006});  // made behind the new head
  return fit(model, optimizer, train, test, {.epochs = 4}).epochs.back().test.accuracy();
}
bool is_same(const Tensor& a, const Tensor& b) {
  if (a.dtype() == DType::i64) return a.to_vector<std::int64_t>() == b.to_vector<std::int64_t>();  // num_batches_tracked
  return a.to_vector<float>() == b.to_vector<float>();
}
int main() {
  const DatasetSplits shapes = make_shapes(1000, 200);
  Sequential model = resnet18({.num_classes = 10}), other = resnet18({.num_classes = 10});
  for (const char* large : {"layer3", "layer4"}) other.at(large).requires_grad(false);  // for speed
  learn(other, shapes, 10);  // by somebody else, who saved it without its head, and from within a DataParallel
  StateDict body;
  for (const auto& [name, tensor] : other.state_dict()) {
    if (!name.starts_with("fc.")) body.add(name, tensor);
  }
  save_safetensors("body.safetensors", body.with_prefix("module."));
  const IncompatibleKeys keys = model.load_state_dict(load_safetensors("body.safetensors").first.without_prefix("module."), false);
  model.freeze();                           // weights and running statistics
  model.at<Linear>("fc") = Linear(512, 5);  // learns
  const double accuracy = learn(model, shapes, 5);
  const bool same = std::ranges::all_of(body, [&](const auto& e) { return is_same(e.second, model.state_dict().at(e.first)); });
  std::printf("%.1f %% right; missing in the file: %zu tensors\n", 100 * accuracy, keys.missing_keys.size());
  return same && accuracy > 0.3 && keys.missing_keys.size() == 2 && keys.unexpected_keys.empty() ? 0 : 1;
}
