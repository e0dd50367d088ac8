#pragma once

#include <gpucnn/core/random.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// Its own backward, on dy.
inline Values dropout(Values x, double p, const RandomStream& random) {
  for (std::size_t e = 0; e < x.size(); ++e) x[e] *= static_cast<double>(random.uniform(e)) < p ? 0.0 : 1.0 / (1.0 - p);
  return x;
}

/// Of channels of `pixels` elements each.
inline Values dropout2d(Values x, std::size_t pixels, double p, const RandomStream& random) {
  const Values factors = dropout(Values(pixels ? x.size() / pixels : 0, 1.0), p, random);
  for (std::size_t e = 0; e < x.size(); ++e) x[e] *= factors[e / pixels];
  return x;
}

}  // namespace gpucnn::reference
