#include <gpucnn/kernels/augment/color_formula.h>
#include <gpucnn/kernels/image/resized_crop.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "golden_case.h"
#include "reference/augment.h"

namespace gpucnn::kernels {
namespace {

using reference::Picture;

std::vector<GoldenCase> cases_with(const std::string& key) {
  std::vector<GoldenCase> found = golden_cases("augment");
  std::erase_if(found, [&](const GoldenCase& one) { return !one.options.contains(key); });
  EXPECT_FALSE(found.empty()) << key;
  return found;
}

std::vector<Picture> pictures_of(const Tensor& x) {
  return reference::pictures_of(as_doubles(x.to_vector<float>()), x.dim(0), x.dim(1), x.dim(2), x.dim(3));
}

/// As the kernels do it, with one adjustment.
Picture adjusted(const Picture& x, int adjustment, float factor) {
  ColorFactors factors{};
  factors.factor[adjustment] = factor;
  factors.order[0] = adjustment;
  factors.steps = x.C == 1 && adjustment > kContrast ? 0 : 1;
  const auto load = [&](std::int64_t h, std::int64_t w) {
    float pixel[3]{};
    for (std::int64_t c = 0; c < x.C; ++c) pixel[c] = static_cast<float>(x.at(c, h, w));
    return load_color(pixel, x.C);
  };
  double sum = 0;
  for (std::int64_t h = 0; h < x.H; ++h) {
    for (std::int64_t w = 0; w < x.W; ++w) sum += static_cast<double>(gray(load(h, w), x.C));
  }
  Picture y = x;
  for (std::int64_t h = 0; h < x.H; ++h) {
    for (std::int64_t w = 0; w < x.W; ++w) {
      float pixel[3]{};
      store_color(adjust(load(h, w), factors, 0, factors.steps, static_cast<float>(sum / static_cast<double>(x.H * x.W)), x.C), x.C,
                  pixel);
      for (std::int64_t c = 0; c < x.C; ++c) y.at(c, h, w) = static_cast<double>(pixel[c]);
    }
  }
  return y;
}

TEST(AugmentGolden, ColoursAreAdjustedAsTorchvisionDoes) {
  const std::vector<std::string> names{"brightness", "contrast", "saturation", "hue"};
  for (const GoldenCase& recorded : cases_with("adjust")) {
    const auto name = recorded.options.at("adjust").get<std::string>();
    const auto adjustment = static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
    const std::vector<double> factors = recorded.options.at("factors");
    for (std::size_t i = 0; i < factors.size(); ++i) {
      SCOPED_TRACE(recorded.name + " " + std::to_string(factors[i]));
      const std::vector<double> expected = as_doubles(recorded.at("y." + std::to_string(i)).to_vector<float>());
      std::vector<Picture> by_reference, by_kernels;
      for (const Picture& x : pictures_of(recorded.at("x"))) {
        by_reference.push_back(reference::adjusted(x, adjustment, factors[i]));
        by_kernels.push_back(adjusted(x, static_cast<int>(adjustment), static_cast<float>(factors[i])));
      }
      expect_close(reference::values_of(by_reference), expected, kGoldenCase);
      expect_close(reference::values_of(by_kernels), expected, kGoldenCase);
    }
  }
}

TEST(AugmentGolden, PartsAreResizedAsTorchvisionDoes) {
  for (const GoldenCase& recorded : cases_with("box")) {
    if (recorded.options.contains("mix")) continue;
    SCOPED_TRACE(recorded.name);
    const std::vector<std::int64_t> box = recorded.options.at("box");
    const Tensor& y = recorded.at("y");
    std::vector<Picture> resized, by_kernels;
    for (const Picture& x : pictures_of(recorded.at("x"))) {
      resized.push_back(reference::resized_crop(x, box[0], box[1], box[2], box[3], y.dim(2), y.dim(3)));
      Picture made(x.C, y.dim(2), y.dim(3));
      for (std::int64_t i = 0; i < made.H; ++i) {
        for (std::int64_t j = 0; j < made.W; ++j) {
          const ResizePoint row = resize_point(i, made.H, box[2]), column = resize_point(j, made.W, box[3]);
          for (std::int64_t c = 0; c < x.C; ++c) {
            const auto pixel = [&](std::int64_t h, std::int64_t w) { return static_cast<float>(x.at(c, box[0] + h, box[1] + w)); };
            const float above = between(pixel(row.first, column.first), pixel(row.first, column.second), column.share);
            const float below = between(pixel(row.second, column.first), pixel(row.second, column.second), column.share);
            made.at(c, i, j) = static_cast<double>(between(above, below, row.share));
          }
        }
      }
      by_kernels.push_back(made);
    }
    const std::vector<double> expected = as_doubles(y.to_vector<float>());
    expect_close(reference::values_of(resized), expected, kGoldenCase);
    expect_close(reference::values_of(by_kernels), expected, kGoldenCase);
  }
}

TEST(AugmentGolden, WhereNoPartFitsTheMiddleIsTorchvisions) {
  for (const GoldenCase& recorded : cases_with("middle")) {
    SCOPED_TRACE(recorded.name);
    const std::vector<std::int64_t> image = recorded.options.at("image"), middle = recorded.options.at("middle");
    const std::vector<double> ratio = recorded.options.at("ratio");
    const CropRanges ranges = crop_ranges({.scale = {1, 1}, .ratio = {ratio[0], ratio[1]}});
    for (std::uint64_t position = 0; position < 20; ++position) {
      const CropBox box = crop_box(ranges, {}, position, image[0], image[1]);
      EXPECT_EQ((std::vector{box.top, box.left, box.height, box.width}), middle);
    }
  }
}

TEST(AugmentGolden, ImagesAndLabelsAreMixedAsTorchvisionDoes) {
  for (const GoldenCase& recorded : cases_with("mix")) {
    SCOPED_TRACE(recorded.name);
    const std::vector<Picture> x = pictures_of(recorded.at("x"));
    std::vector<std::int32_t> labels;
    for (const std::int64_t label : recorded.at("labels").to_vector<std::int64_t>())
      labels.push_back(static_cast<std::int32_t>(label));
    const bool cuts = recorded.options.contains("box");
    const double own = recorded.options.at(cuts ? "lam_adjusted" : "lam");
    std::vector<Picture> y;
    if (cuts) {
      const std::vector<std::int64_t> box = recorded.options.at("box");  // left, top, right, bottom
      y = reference::mixed_in_box(x, box[1], box[3], box[0], box[2]);
    } else {
      y = reference::mixed_up(x, own);
    }
    expect_close(reference::values_of(y), as_doubles(recorded.at("y").to_vector<float>()), kGoldenCase);
    expect_close(reference::mixed_labels(labels, 5, own), as_doubles(recorded.at("probabilities").to_vector<float>()), kGoldenCase);
  }
}

}  // namespace
}  // namespace gpucnn::kernels
