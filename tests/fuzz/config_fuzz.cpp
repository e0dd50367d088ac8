#include <gpucnn/core/error.h>

#include "fuzz_target.h"
#include "memory_file.h"
#include "train_cifar/config.h"

std::vector<std::string> fuzz::seeds() {
  return {
      R"({"model": "resnet9", "width": 8, "data": "photos", "image_size": 64, "skip_damaged": true, "limit": 100, "augment": true})",
      R"({"epochs": 3, "batch_size": 32, "optimizer": "sgd", "lr": 0.1, "schedule": "onecycle", "weight_decay": 5e-4, "ema": 0.999})",
      R"({"seed": 18446744073709551615, "init": "a b", "device": "cuda:1", "precision": "bf16", "threads": 2, "save_every": "10m"})",
      R"({"keep": 3, "label_smoothing": 0.1, "class_names": ["cat", "dog"], "mean": [0.5], "version": "0.1.0", "width": null})",
      R"({"model": "vgg", "unknown": [{}], "epochs": -1, "lr": "fast", "batch_size": 1e99})",
      "[]",
      "{",
      R"({"data": "--help", "out": "elsewhere", "model": "--version"})"};
}

void fuzz::run(std::string_view bytes) {
  static MemoryFile file;
  file.set(bytes);
  resumed_words({"--resume", "--out", "run", "--epochs", "9"}, file.path(), 1);
}
