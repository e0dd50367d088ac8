#include <gpucnn/core/threads/flush_subnormals.h>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

#if defined(__SSE2__)

/// Not known to the compiler.
float product(float a, float b) {
  volatile float x = a, y = b;
  return x * y;
}

TEST(FlushSubnormals, GivesThemAsZeroWhileItLives) {
  constexpr float kSmall = 1.5e-38F, kSubnormal = 1e-40F;
  {
    const FlushSubnormals flush;
    EXPECT_TRUE(product(kSmall, 0.25F) == 0);
    EXPECT_TRUE(product(kSubnormal, 1e30F) > 0);
    EXPECT_TRUE(product(kSmall, 2) > 0);
    { const FlushSubnormals again; }
    EXPECT_TRUE(product(kSmall, 0.25F) == 0);
  }
  EXPECT_TRUE(product(kSmall, 0.25F) > 0);
  EXPECT_TRUE(product(kSubnormal, 1e30F) > 0);
}

#endif

}  // namespace
}  // namespace gpucnn
