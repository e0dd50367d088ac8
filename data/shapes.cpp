#include <gpucnn/data/shapes.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/random.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/parallel.h>

namespace gpucnn {
namespace {

constexpr int kSize = 32;  // pixels, of both sides
constexpr int kChannels = 3;
constexpr std::int64_t kGrain = 64;  // images a task

// ---- figures: how far a point lies outside, negative inside, for a figure about as wide as the unit disc ---------------------

struct Point {
  float x, y;
};

float length(Point p) { return std::sqrt(p.x * p.x + p.y * p.y); }

float disc(Point p, Point centre, float radius) { return length({p.x - centre.x, p.y - centre.y}) - radius; }

float box(Point p, float half_width, float half_height) {
  return std::max(std::abs(p.x) - half_width, std::abs(p.y) - half_height);
}

/// The five directions of a pentagon's sides, and the three of a triangle's.
constexpr std::array<Point, 5> kFive{
    {{0.0F, 1.0F}, {0.9510565F, 0.3090170F}, {0.5877853F, -0.8090170F}, {-0.5877853F, -0.8090170F}, {-0.9510565F, 0.3090170F}}};
constexpr std::array<Point, 3> kThree{{{0.0F, 1.0F}, {0.8660254F, -0.5F}, {-0.8660254F, -0.5F}}};

float dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }

float triangle(Point p) { return std::max({dot(p, kThree[0]), dot(p, kThree[1]), dot(p, kThree[2])}) - 0.55F; }

/// Inside at least four of the five lines of a pentagram.
float star(Point p) {
  std::array<float, 5> side;
  std::ranges::transform(kFive, side.begin(), [&](Point direction) { return dot(p, direction); });
  std::ranges::nth_element(side, side.begin() + 3);
  return side[3] - 0.36F;
}

float dots(Point p) {
  float nearest = disc(p, {0.62F * kThree[0].x, 0.62F * kThree[0].y}, 0.38F);
  for (std::size_t i = 1; i < 3; ++i) nearest = std::min(nearest, disc(p, {0.62F * kThree[i].x, 0.62F * kThree[i].y}, 0.38F));
  return nearest;
}

float stripes(Point p) {
  const float from_nearest = std::abs(p.y - 0.66F * std::clamp(std::round(p.y / 0.66F), -1.0F, 1.0F));
  return std::max(from_nearest - 0.19F, std::abs(p.x) - 0.85F);
}

struct Figure {
  const char* name;
  float (*outside)(Point);
};

constexpr std::array<Figure, 10> kFigures{{
    {"disc", [](Point p) { return length(p) - 0.9F; }},
    {"square", [](Point p) { return box(p, 0.78F, 0.78F); }},
    {"triangle", triangle},
    {"cross", [](Point p) { return std::min(box(p, 1.0F, 0.28F), box(p, 0.28F, 1.0F)); }},
    {"ring", [](Point p) { return std::abs(length(p) - 0.75F) - 0.2F; }},
    {"frame", [](Point p) { return std::abs(box(p, 0.68F, 0.68F)) - 0.16F; }},
    {"star", star},
    {"crescent",
     [](Point p) {
       return std::max(length(p) - 0.95F, -disc(p, {0.55F, 0.0F}, 0.75F));
     }},
    {"stripes", stripes},
    {"dots", dots},
}};

// ---- drawing -----------------------------------------------------------------------------------------------------------------

/// Words of an image's stream, by what they decide; ground and colour have one for each channel.
constexpr std::uint64_t kRadius = 0, kCentreX = 1, kCentreY = 2, kTurn = 3, kNoise = 4, kSlopeX = 5, kSlopeY = 6, kGround = 8,
                        kColour = 12, kPixels = 16;

struct Sketch {
  float radius;
  Point centre, turn;  // turn: the unit vector that the figure's x axis points to
  float noise;         // amplitude, in units of full brightness
  Point slope;         // of the ground's brightness, across the image
  std::array<float, kChannels> ground, colour;
};

float between(const RandomStream& random, std::uint64_t word, float low, float high) {
  return low + (high - low) * random.uniform(word);
}

Sketch sketch(const RandomStream& random) {
  Sketch s{};
  s.radius = between(random, kRadius, 8.5F, 13.0F);
  const float room = kSize / 2.0F - 0.9F * s.radius;
  s.centre = {kSize / 2.0F + between(random, kCentreX, -room, room), kSize / 2.0F + between(random, kCentreY, -room, room)};
  const Point turn{1.0F, between(random, kTurn, -0.5F, 0.5F)};
  s.turn = {turn.x / length(turn), turn.y / length(turn)};
  s.noise = between(random, kNoise, 0.05F, 0.2F);
  s.slope = {between(random, kSlopeX, -0.3F, 0.3F), between(random, kSlopeY, -0.3F, 0.3F)};
  for (std::size_t c = 0; c < kChannels; ++c) {
    s.ground[c] = between(random, kGround + c, 0.0F, 0.6F);
    // Brighter in every channel, or a net as small as SimpleCNN spends its few filters on telling dark figures from bright ones.
    s.colour[c] = s.ground[c] + between(random, kColour + c, 0.2F, 0.6F);
  }
  return s;
}

void draw(const RandomStream& random, const Figure& figure, std::uint8_t* pixels) {
  const Sketch s = sketch(random);
  std::array<std::uint32_t, 4> words{};
  std::uint64_t drawn = 0;  // noise values so far: one byte of a word each
  for (int row = 0; row < kSize; ++row) {
    for (int column = 0; column < kSize; ++column) {
      const float x = static_cast<float>(column) + 0.5F - s.centre.x, y = static_cast<float>(row) + 0.5F - s.centre.y;
      const Point p{(x * s.turn.x + y * s.turn.y) / s.radius, (y * s.turn.x - x * s.turn.y) / s.radius};
      const float cover = std::clamp(0.5F - s.radius * figure.outside(p), 0.0F, 1.0F);
      const float light = (s.slope.x * static_cast<float>(column) + s.slope.y * static_cast<float>(row)) / kSize;
      for (std::size_t c = 0; c < kChannels; ++c, ++drawn) {
        if (drawn % 16 == 0) words = random.block((kPixels + drawn / 4) / 4);
        const std::uint32_t byte = words[drawn / 4 % 4] >> (drawn % 4 * 8) & 0xFFU;
        const float noise = s.noise * (static_cast<float>(byte) / 127.5F - 1);
        const float value = s.ground[c] + light + cover * (s.colour[c] - s.ground[c]) + noise;
        // NOLINTNEXTLINE(bugprone-incorrect-roundings): never negative, and recorded pixels depend on this rounding
        *pixels++ = static_cast<std::uint8_t>(std::clamp(value, 0.0F, 1.0F) * 255 + 0.5F);
      }
    }
  }
}

TensorDataset draw_all(std::int64_t count, std::uint64_t seed, std::uint32_t index) {
  Tensor images = Tensor::empty({count, kChannels, kSize, kSize}, DType::u8);
  Tensor labels = Tensor::empty({count}, DType::i32);
  auto* pixels = images.data<std::uint8_t>();
  auto* label = labels.data<std::int32_t>();
  parallel_ranges(count, kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const auto figure = static_cast<std::size_t>(i) % kFigures.size();
      label[i] = static_cast<std::int32_t>(figure);
      draw(RandomStream(seed, Purpose::shapes, index, static_cast<std::uint64_t>(i)), kFigures[figure],
           pixels + i * kChannels * kSize * kSize);
    }
  });
  return {std::move(images), labels};
}

}  // namespace

DatasetSplits make_shapes(std::int64_t train_count, std::int64_t test_count, std::uint64_t seed) {
  if (train_count < 0 || test_count < 0) {
    throw std::invalid_argument(formatted("make_shapes: counts must be >= 0, got {} and {}", train_count, test_count));
  }
  std::vector<std::string> class_names;
  class_names.reserve(kFigures.size());
  for (const Figure& figure : kFigures) class_names.emplace_back(figure.name);
  return {draw_all(train_count, seed, 0), draw_all(test_count, seed, 1), std::move(class_names)};
}

}  // namespace gpucnn
