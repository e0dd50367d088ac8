#include <gpucnn/io/load_model.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/config.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/models/make_model.h>
#include <io/temporary_folder.h>

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// What train_cifar writes for a model of these images.
Metadata metadata_of(const std::string& model, const std::string& image_shape = "[3,32,32]", const std::string& width = "") {
  return {{"model", model},
          {"width", width},
          {"num_classes", "3"},
          {"class_names", R"(["cat","größe","dog\u001b[2J"])"},
          {"image_shape", image_shape},
          {"mean", "[0.4914,0.4822,0]"},
          {"std", "[0.247,1,0.2616]"},
          {"version", kVersion},
          {"epoch", "7"}};
}

/// What a loading is refused with.
struct Refusal {
  explicit Refusal(const std::function<void()>& load) {
    try {
      load();
      ADD_FAILURE() << "was loaded";
    } catch (const DataError& error) {
      expected = error.expected();
      found = error.found();
      what = error.what();
    }
  }
  std::string expected, found, what;
};

Refusal refusal_of(const StateDict& state, const Metadata& metadata) {
  const TemporaryFolder folder;
  save_safetensors(folder / "x", state, metadata);
  return Refusal([&] { load_model(folder / "x"); });
}

/// The refusal of a SimpleCNN whose metadata has another value for a key; an empty value stands for none.
Refusal with(const std::string& key, const char* value) {
  Metadata metadata = metadata_of("simple_cnn");
  metadata.erase(key);
  if (value) metadata[key] = value;
  return refusal_of(make_model("simple_cnn", {3, 32, 32}, 3)->state_dict(), metadata);
}

TEST(LoadModel, GivesTheNetworkAndAllThatBelongsToIt) {
  const TemporaryFolder folder;
  const auto trained = make_model("simple_cnn", {3, 32, 32}, 3);
  trained->init(5);
  save_safetensors(folder / "x", trained->state_dict(), metadata_of("simple_cnn"));
  const LoadedModel loaded = load_model(folder / "x");
  EXPECT_EQ(loaded.name, "simple_cnn");
  EXPECT_THAT(loaded.class_names, ElementsAre("cat", "größe", "dog\x1b[2J"));
  EXPECT_THAT(loaded.normalize.mean, ElementsAre(0.4914, 0.4822, 0.0));
  EXPECT_THAT(loaded.normalize.std, ElementsAre(0.247, 1.0, 0.2616));
  EXPECT_EQ(loaded.image_shape, (Shape{3, 32, 32}));
  EXPECT_EQ(loaded.metadata.at("epoch"), "7");
  EXPECT_FALSE(loaded.network->training());
  const Tensor x = Tensor::randn({2, 3, 32, 32}, 1);
  EXPECT_EQ((*loaded.network)(x).to_vector<float>(), trained->predict(x).to_vector<float>());
}

TEST(LoadModel, MakesEveryModelAsItWasMade) {
  const TemporaryFolder folder;
  for (const auto& [name, width] : std::vector<std::pair<std::string, int>>{{"lenet5", 0}, {"resnet20", 0}, {"resnet9", 4}}) {
    const auto trained = make_model(name, {1, 28, 28}, 3, width > 0 ? std::optional(width) : std::nullopt);
    Metadata metadata = metadata_of(name, "[1,28,28]", width > 0 ? std::to_string(width) : "");
    metadata["mean"] = metadata["std"] = "[0.5]";
    save_safetensors(folder / "x", trained->state_dict(), metadata);
    const LoadedModel loaded = load_model(folder / "x");
    const Tensor x = Tensor::randn({2, 1, 28, 28}, 1);
    EXPECT_EQ(loaded.network->predict(x).to_vector<float>(), trained->predict(x).to_vector<float>()) << name;
  }
}

TEST(LoadModel, NamesTheKeyThatIsMissing) {
  for (const auto& [key, value] : metadata_of("simple_cnn")) {
    if (key == "epoch") continue;
    const Refusal refusal = with(key, nullptr);
    EXPECT_EQ(refusal.expected, key + " in the metadata");
    EXPECT_EQ(refusal.found, "none");
  }
}

TEST(LoadModel, AFileOfOtherProgramsSaysWhatToDo) {
  const Refusal refusal = refusal_of(make_model("simple_cnn", {3, 32, 32}, 3)->state_dict(), {{"format", "pt"}});
  EXPECT_EQ(refusal.expected, "metadata of a training, such as model and class_names");
  EXPECT_EQ(refusal.found, "none; make the network in your program, and give load_state_dict what load_safetensors reads");
}

TEST(LoadModel, NamesTheKeyThatIsWrong) {
  EXPECT_THAT(with("model", "simple_cnm").expected, HasSubstr("one of lenet5, resnet18"));
  EXPECT_EQ(with("model", "\x1b[2J").found, "\"\\x1b[2J\"");
  for (const char* number : {"0", "-1", "1.0", "a", " 3", "99999999999999999999"}) {
    EXPECT_EQ(with("num_classes", number).expected, "a whole number of 1 or more as num_classes in the metadata") << number;
    EXPECT_EQ(with("width", number).expected, "a whole number of 1 or more as width in the metadata") << number;
  }
  EXPECT_EQ(with("num_classes", "1000000000000").expected, "1000000000000 class_names, as num_classes says, in the metadata");
  EXPECT_EQ(with("class_names", R"(["cat"])").found, "1");
  for (const char* list : {"", "cat", "\"cat\"", "[1,2,3]", "[[\"a\"]]", "{}", "[\"a\",null]", "[\"a\"", "[\"a\"]]"}) {
    EXPECT_EQ(with("class_names", list).expected, "a list of texts as class_names in the metadata") << list;
  }
  for (const char* shape : {"[]", "[3,32]", "[3,32,32,1]", "[3,0,32]", "[0,32,32]", "[3,-32,32]", "[3,32.5,32]",
                            "[3,4294967296,32]", "[3,1000000000,1000000000]", "3", "[\"3\",32,32]"}) {
    EXPECT_THAT(with("image_shape", shape).expected, HasSubstr("image_shape")) << shape;
  }
  for (const char* key : {"mean", "std"}) {
    for (const char* list : {"[]", "[1,1]", "[1,1,1,1]", "[1,1,null]", "[1,1,1e39]", "[1,1,1e999]", "[1,1,\"1\"]", "1"}) {
      EXPECT_THAT(with(key, list).expected, HasSubstr(key)) << list;
    }
  }
  EXPECT_EQ(with("std", "[1,1,0]").expected, "3 finite numbers above 0 as std in the metadata");
  EXPECT_EQ(with("std", "[1,1,1e-60]").found, "\"[1,1,1e-60]\"") << "which is 0 as f32";
}

TEST(LoadModel, RefusesWhatANewerLibraryWrote) {
  const std::string ours = kVersion, next_patch = ours.substr(0, ours.rfind('.')) + ".999",
                    next_minor = ours.substr(0, ours.find('.')) + ".999.0";
  for (const std::string& version : {std::string("999.0.0"), next_minor, next_patch}) {
    EXPECT_THAT(with("version", version.c_str()).found, HasSubstr("a newer libgpucnn reads it")) << version;
  }
  for (const char* version : {"", "1", "0.1", "0.1.0.0", "0.1.x", "-1.0.0"}) {
    EXPECT_EQ(with("version", version).expected, "a version such as 1.2.3 as version in the metadata") << version;
  }
  const TemporaryFolder folder;
  Metadata metadata = metadata_of("simple_cnn");
  metadata["version"] = "0.0.9";
  save_safetensors(folder / "x", make_model("simple_cnn", {3, 32, 32}, 3)->state_dict(), metadata);
  EXPECT_EQ(load_model(folder / "x").name, "simple_cnn");
}

TEST(LoadModel, NamesTheTensorThatIsNotTheModels) {
  const Refusal other = refusal_of(make_model("simple_cnn", {3, 32, 32}, 4)->state_dict(), metadata_of("simple_cnn"));
  EXPECT_EQ(other.expected, "classifier.4.weight [3, 128] of simple_cnn");
  EXPECT_EQ(other.found, "[4, 128]");
  EXPECT_EQ(refusal_of(make_model("lenet5", {3, 32, 32}, 3)->state_dict(), metadata_of("simple_cnn")).found, "no such tensor");
  EXPECT_EQ(with("image_shape", "[3,64,32]").expected, "classifier.1.weight [128, 4096] of simple_cnn");
  EXPECT_THAT(with("image_shape", "[3,2,32]").found, HasSubstr("expects images from [1, 4, 4]"));
  EXPECT_THAT(with("width", "8").found, HasSubstr("simple_cnn has no width"));
  StateDict more = make_model("simple_cnn", {3, 32, 32}, 3)->state_dict();
  more.add("more", Tensor::zeros({1}));
  EXPECT_THAT(refusal_of(more, metadata_of("simple_cnn")).found, HasSubstr("unexpected more"));
}

TEST(LoadModel, NamesWeightsThatAreNoNumbers) {
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const auto network = make_model("simple_cnn", {3, 32, 32}, 3);
    Tensor bias = network->state_dict().at("features.3.bias");
    bias.data<float>()[5] = wrong;
    const Refusal refusal = refusal_of(network->state_dict(), metadata_of("simple_cnn"));
    EXPECT_EQ(refusal.expected, "finite numbers in features.3.bias");
    EXPECT_THAT(refusal.found, HasSubstr("the training that wrote it had failed"));
  }
}

TEST(LoadModel, NamesVariancesBelowZero) {
  const auto network = make_model("resnet9", {3, 32, 32}, 3, 4);
  Tensor variance = network->state_dict().at("prep.bn.running_var");
  variance.data<float>()[1] = -1;
  const Refusal refusal = refusal_of(network->state_dict(), metadata_of("resnet9", "[3,32,32]", "4"));
  EXPECT_EQ(refusal.expected, "variances of at least 0 in prep.bn.running_var");
  EXPECT_EQ(refusal.found, "-1");
}

TEST(LoadModel, RefusesAStdThatHasNoReciprocal) {
  EXPECT_THAT(with("std", "[1e-40,1,1]").expected, HasSubstr("3 finite numbers above 0 as std"));
}

// Whoever writes a file may say that its model is huge.
TEST(LoadModel, TakesNoMemoryThatTheTensorsOfTheFileDoNotFill) {
  const auto memory_for = [](const std::string& model, const std::string& image, const std::string& width) {
    StateDict state;
    state.add("prep.conv.weight", Tensor::zeros({4, 3, 3, 3}));
    state.add("many", Tensor::zeros({1 << 20, 0}));
    const TemporaryFolder folder;
    save_safetensors(folder / "x", state, metadata_of(model, image, width));
    empty_cache(Device::cpu());
    const auto held = [] {
      const AllocatorStats stats = allocator_stats(Device::cpu());
      return stats.in_use + stats.kept;
    };
    const std::uint64_t before = held();
    const Refusal refusal([&] { load_model(folder / "x"); });
    return held() - before;
  };
  constexpr std::uint64_t kLittle = 1 << 20;
  EXPECT_LT(memory_for("resnet9", "[3,32,32]", "1048576"), kLittle);
  EXPECT_LT(memory_for("resnet9", "[3,32,32]", "2147483647"), kLittle);
  EXPECT_LT(memory_for("resnet9", "[3,32,32]", "3"), kLittle);
  EXPECT_LT(memory_for("simple_cnn", "[3,16384,16384]", ""), kLittle);
  EXPECT_LT(memory_for("simple_cnn", "[3,1000000000,1000000000]", ""), kLittle);
  EXPECT_LT(memory_for("vgg11_bn", "[3,64,64]", ""), kLittle);
}

}  // namespace
}  // namespace gpucnn
