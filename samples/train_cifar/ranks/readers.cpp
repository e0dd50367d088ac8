#include "readers.h"

#include <stdexcept>

#include "train_cifar/data.h"
#include "train_cifar/ranks/together.h"

using namespace gpucnn;

namespace {

class Readers : public RankReaders {
 public:
  using RankReaders::RankReaders;

  void together(const std::function<void()>& work) const override {
    ::together(distributed(), [&] {
      try {
        work();
      } catch (const std::invalid_argument& error) {
        throw_usage(error);
      }
    });
  }
};

}  // namespace

std::shared_ptr<const ReaderGroup> readers_of(const Distributed& ranks) {
  if (ranks.size() == 1) return nullptr;
  return std::make_shared<const Readers>(ranks);
}
