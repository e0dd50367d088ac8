#include <dlib/dnn.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "timed_runs.h"

// Networks of zoo/networks.h in dlib. Times a training step or a forward pass as
// network_bench does, one for each line on standard input, and prints a line of JSON for each. Before that it prints its number of
// parameters.
namespace {

struct Options {
  std::string network = "simple_cnn", what = "train";
  int batch = 128;
  double seconds = 5;
};

template <std::size_t kChannels>
using Images = dlib::input<std::array<dlib::matrix<float>, kChannels>>;
template <long kFilters, int kSize, int kPadding, class Below>
using Conv = dlib::add_layer<dlib::con_<kFilters, kSize, kSize, 1, 1, kPadding, kPadding>, Below>;
template <long kFilters, int kSize, int kPadding, class Below>
using ConvRelu = dlib::relu<Conv<kFilters, kSize, kPadding, Below>>;
template <class Below>
using Pool = dlib::max_pool<2, 2, 2, 2, Below>;
template <unsigned long kOut, class Below>
using LinearRelu = dlib::relu<dlib::fc<kOut, Below>>;
template <class Below>
using Head = dlib::loss_multiclass_log<dlib::fc<10, Below>>;
template <long kFilters, class Below>
using VggBlock = Pool<ConvRelu<kFilters, 3, 1, ConvRelu<kFilters, 3, 1, Below>>>;

// Drop: dlib::dropout in training; in a prediction nothing but a scale of 1.
template <template <class> class Drop>
using SimpleCnn = Head<Drop<LinearRelu<128, Pool<ConvRelu<32, 3, 1, Pool<ConvRelu<16, 3, 1, Images<3>>>>>>>>;
template <template <class> class Drop>
using Vgg8 = Head<Drop<LinearRelu<256, VggBlock<128, VggBlock<64, VggBlock<32, Images<3>>>>>>>;
using LeNet5 = Head<LinearRelu<84, LinearRelu<120, Pool<ConvRelu<16, 5, 0, Pool<ConvRelu<6, 5, 2, Images<1>>>>>>>>;
using CaffeLeNet = Head<LinearRelu<500, Pool<Conv<50, 5, 0, Pool<Conv<20, 5, 0, Images<1>>>>>>>;
using Mlp = Head<LinearRelu<1024, LinearRelu<1024, Images<1>>>>;

/// Runs of a network on a batch that stays.
template <class Net, std::size_t kChannels>
class Program {
 public:
  Program(const Options& options, long size) : batch_(static_cast<std::size_t>(options.batch)), training_(options.what == "train") {
    std::minstd_rand numbers;
    std::normal_distribution<float> normal;
    std::vector<std::array<dlib::matrix<float>, kChannels>> images(batch_);
    for (auto& image : images) {
      for (auto& channel : image) {
        channel.set_size(size, size);
        for (float& value : channel) value = normal(numbers);
      }
    }
    net_.to_tensor(images.begin(), images.end(), inputs_);
    for (std::size_t i = 0; i < batch_; ++i) labels_.push_back(i % 10);
    once();  // gives the layers their parameters
  }

  void once() {
    if (!training_) {
      net_.subnet().forward(inputs_);
      return;
    }
    net_.compute_parameter_gradients(inputs_, labels_.begin());
    net_.update_parameters(dlib::make_sstack(solvers_), 1e-3);
  }

  std::size_t parameters() const { return dlib::count_parameters(net_); }

 private:
  std::size_t batch_;
  bool training_;
  Net net_;
  dlib::resizable_tensor inputs_;
  std::vector<unsigned long> labels_;
  std::vector<dlib::adam> solvers_ = std::vector<dlib::adam>(Net::num_computational_layers, dlib::adam(0, 0.9F, 0.999F));
};

template <class Net, std::size_t kChannels>
void run(const Options& options, long size) {
  Program<Net, kChannels> program(options, size);
  std::printf("{\"parameters\": %zu}\n", program.parameters());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<double> times = timed_runs([&] { program.once(); }, options.seconds);
    std::ranges::sort(times);
    const nlohmann::ordered_json result = {
        {"median_ms", quantile(times, 0.5)}, {"p10_ms", quantile(times, 0.1)}, {"p90_ms", quantile(times, 0.9)}};
    std::printf("%s\n", result.dump().c_str());
    std::fflush(stdout);
  }
}

template <template <template <class> class> class Net>
void run_with_dropout(const Options& options) {
  if (options.what == "train") return run<Net<dlib::dropout>, 3>(options, 32);
  run<Net<dlib::multiply>, 3>(options, 32);
}

void run(const Options& options) {
  if (options.network == "simple_cnn") return run_with_dropout<SimpleCnn>(options);
  if (options.network == "vgg8") return run_with_dropout<Vgg8>(options);
  if (options.network == "lenet5") return run<LeNet5, 1>(options, 28);
  if (options.network == "caffe_lenet") return run<CaffeLeNet, 1>(options, 28);
  if (options.network == "mlp") return run<Mlp, 1>(options, 28);
  throw std::invalid_argument(options.network + " is not among the networks in dlib");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Times networks of dlib: a training step (forward, loss, backward, Adam) or a forward pass");
  app.add_option("--network", options.network, "simple_cnn, caffe_lenet, lenet5, mlp or vgg8")->capture_default_str();
  app.add_option("--what", options.what, "What to time")->check(CLI::IsMember({"train", "infer"}))->capture_default_str();
  app.add_option("--batch", options.batch, "Images a step")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--seconds", options.seconds, "How long to measure")->check(CLI::Range(0.01, 3600.0))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dlib_bench: %s\n", error.what());
    return 1;
  }
}
