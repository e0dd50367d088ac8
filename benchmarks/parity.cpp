#include <gpucnn/gpucnn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

// Trains SimpleCNN on PyTorch's recorded batches (tests/golden/README.md) on the CPU and on a device, says in one line of JSON how
// far they are apart, and ends with 1 if that is further than the tests allow.
namespace {

using namespace gpucnn;

constexpr int kSteps = 25;
constexpr double kLoss = 1e-5;    // relative: kGoldenLoss of tests/close.h
constexpr double kWeight = 1e-4;  // absolute: kGoldenWeight

struct Run {
  std::vector<float> losses;
  std::map<std::string, std::vector<float>> weights;
};

/// `batch` u8 images from `first` on, as the network sees them.
Tensor inputs_of(const StateDict& recording, std::int64_t first, std::int64_t batch, Device device) {
  const auto pixels = recording.at("inputs").narrow(first, batch).to_vector<std::uint8_t>();
  std::vector<float> values(pixels.size());
  std::ranges::transform(pixels, values.begin(), [](std::uint8_t pixel) { return (static_cast<float>(pixel) - 128.0F) / 32.0F; });
  return Tensor::from(values, {batch, 3, 32, 32}, device);
}

Run train(const StateDict& initial, const StateDict& recording, std::int64_t batch, Device device) {
  SimpleCNN model;
  model.load_state_dict(initial);
  model.to(device).eval();
  CrossEntropyLoss criterion;
  Adam optimizer(model.parameters());
  Run run;
  for (int step = 0; step < kSteps; ++step) {
    const std::int64_t first = step * batch % recording.at("labels").numel();
    optimizer.zero_grad();
    const Tensor labels = recording.at("labels").narrow(first, batch).to(device);
    const Tensor loss = criterion(model(inputs_of(recording, first, batch, device)), labels);
    model.backward(criterion.backward());
    optimizer.step();
    run.losses.push_back(loss.item());
  }
  for (const auto& [name, weight] : model.state_dict()) run.weights[name] = weight.to_vector<float>();
  return run;
}

/// The largest difference, relative to b or not. NaN counts as infinite.
double apart(const std::vector<float>& a, const std::vector<float>& b, bool relative) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double expected = static_cast<double>(b.at(i));
    const double difference = std::abs(static_cast<double>(a[i]) - expected) / (relative ? std::abs(expected) : 1);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  }
  return largest;
}

}  // namespace

int main(int argc, char** argv) {
  std::string device_name = "cuda";
  std::filesystem::path folder = "tests/golden";
  CLI::App app("Trains SimpleCNN for 25 steps on the CPU and on a device and compares losses and weights");
  app.add_option("--device", device_name, "cpu, cuda or cuda:N")->capture_default_str();
  app.add_option("--recordings", folder, "Where PyTorch's recordings are")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const Device device = Device::parse(device_name);
    device.require();
    const StateDict initial = load_safetensors(folder / "simple_cnn_initial.safetensors").first;
    bool within = true;
    nlohmann::ordered_json line = {{"device", device.string()}, {"steps", kSteps}};
    for (const std::int64_t batch : {4, 32}) {
      const StateDict recording = load_safetensors(folder / ("simple_cnn_batch" + std::to_string(batch) + ".safetensors")).first;
      const Run cpu = train(initial, recording, batch, Device::cpu()), other = train(initial, recording, batch, device);
      double weight = 0, pytorch_weight = 0;
      for (const auto& [name, values] : other.weights) {
        weight = std::max(weight, apart(values, cpu.weights.at(name), false));
        pytorch_weight = std::max(pytorch_weight, apart(values, recording.at("final." + name).to_vector<float>(), false));
      }
      const double loss = apart(other.losses, cpu.losses, true);
      const double pytorch_loss = apart(other.losses, recording.at("losses").to_vector<float>(), true);
      line["batch " + std::to_string(batch)] = {{"loss_to_cpu", loss},
                                                {"weight_to_cpu", weight},
                                                {"loss_to_pytorch", pytorch_loss},
                                                {"weight_to_pytorch", pytorch_weight}};
      within = within && std::max(loss, pytorch_loss) <= kLoss && std::max(weight, pytorch_weight) <= kWeight;
    }
    line["within"] = within;
    std::printf("%s\n", line.dump().c_str());
    return within ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parity: %s\n", error.what());
    return 1;
  }
}
