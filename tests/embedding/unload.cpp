// unload PLUGIN: loads a plug-in, predicts on two threads and unloads it, many times over. Its code must go, and its threads with
// it.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace {

void require(bool holds, const char* what, int round) {
  if (holds) return;
  std::fprintf(stderr, "round %d: %s\n", round, what);
  std::_Exit(1);
}

std::ptrdiff_t threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

/// Whether code of the plug-in or the library is in this process: this program's own name has none of theirs.
bool is_loaded() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("libgpucnn") != std::string::npos || line.find("embedding_plugin") != std::string::npos) return true;
  }
  return false;
}

float predict_in(void* plugin, int round) {
  const auto predict = reinterpret_cast<float (*)(int)>(dlsym(plugin, "predict_sum"));
  require(predict, "the plug-in has no predict_sum", round);
  return predict(2);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::ptrdiff_t before = threads();
  float first = 0;
  for (int round = 0; round < 100; ++round) {
    void* plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    require(plugin && is_loaded(), "the plug-in cannot be loaded", round);
    const float sum = round % 3 ? predict_in(plugin, round) : [&] {
      float from_thread = 0;
      std::thread([&] { from_thread = predict_in(plugin, round); }).join();
      return from_thread;
    }();
    if (round == 0) first = sum;
    require(sum == first, "another result", round);
    if (round % 10 == 0) {  // a child that has forked amid unloads them too
      const pid_t child = fork();
      if (child == 0) {
        alarm(20);
        std::exit(predict_in(plugin, round) == first && dlclose(plugin) == 0 ? 0 : 1);
      }
      int status = -1;
      require(waitpid(child, &status, 0) == child && status == 0, "a forked child failed", round);
    }
    require(dlclose(plugin) == 0, "the plug-in cannot be unloaded", round);
    require(!is_loaded(), "the plug-in's code is still there", round);
    // The system may list a thread for a moment after it has been joined.
    for (int wait = 0; wait < 1000 && threads() > before; ++wait) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    require(threads() == before, "a thread is left", round);
  }
  return 0;
}
