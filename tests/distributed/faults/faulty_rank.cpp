#include <gpucnn/core/error.h>
#include <gpucnn/data/shapes.h>
#include <gpucnn/distributed/distributed.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/fit.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;

/// What rank `argv[2]` does in the middle of the run.
void misbehave(const std::string& fault, const gpucnn::Distributed& world) {
  if (fault == "die") std::raise(SIGKILL);
  if (fault == "stop") std::raise(SIGSTOP);
  if (fault == "loop") {
    for (volatile bool forever = true; forever;) {
    }
  }
  if (fault == "exit") std::exit(3);
  if (fault == "explain") {
    std::fprintf(stderr, "\nfaulty_rank: rank %d finds no room\n", world.rank());
    world.end_silently();
    std::exit(5);
  }
  if (fault == "return") std::exit(0);
  if (fault == "quick_exit") std::_Exit(0);
  if (fault == "other_call") world.barrier();
  if (fault == "long_task") {
    const auto task = world.long_task();
    std::this_thread::sleep_for(8s);
  }
}

/// An epoch behind which rank `slow` writes a report, and then a state, for longer than the others wait for a rank that hangs.
void fit_slowly(const gpucnn::Distributed& world, int slow) {
  using namespace gpucnn;
  constexpr auto kLong = 7s;
  const DatasetSplits data = make_shapes(16, 16, 1);
  Sequential model{Flatten(), Linear(3072, 10)};
  model.init(1);
  Adam optimizer(model.parameters());
  const BatchPart part{world.rank(), world.size()};
  DataLoader train(data.train, {.batch_size = 8, .part = part}), test(data.test, {.batch_size = 8, .part = part});
  FitOptions options{.epochs = 1, .step = {.distributed = &world}};
  if (world.rank() == slow) {
    options.on_epoch = [&](const EpochResult&) { std::this_thread::sleep_for(kLong); };
    options.save = [&](const RunPosition&) { std::this_thread::sleep_for(kLong); };
  }
  fit(model, optimizer, train, test, options);
  world.barrier();
}

void run(int argc, char** argv) {
  const std::string fault = argc > 1 ? argv[1] : "none";
  const int faulty = argc > 2 ? std::atoi(argv[2]) : -1;
  const int steps = argc > 3 ? std::atoi(argv[3]) : 40;
  const auto world = gpucnn::Distributed::init(argc, argv);
  if (fault == "option") world.require_same("option --lr", world.rank() == faulty ? "0.1" : "0.2");
  if (fault == "fit") fit_slowly(world, faulty);
  auto gradients = gpucnn::Tensor::full({1 << 18}, 1);
  for (int step = 0; step < steps; ++step) {
    std::this_thread::sleep_for(5ms);
    if (world.rank() == faulty && step == steps / 2) misbehave(fault, world);
    world.all_reduce(gradients, gpucnn::Reduce::max);
  }
  if (world.is_main()) std::puts("done");
}

}  // namespace

/// faulty_rank [FAULT RANK [STEPS]]: a run of many steps, amid which one rank fails.
int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (const gpucnn::DeviceError& error) {
    std::fprintf(stderr, "faulty_rank: %s\n", error.what());
    return 3;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "faulty_rank: %s\n", error.what());
    return 1;
  }
}
