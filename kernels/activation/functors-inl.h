// The pointwise activations, one functor each for both devices, in Highway's words. functors_cpu-inl.h includes this file for every
// instruction set: there `hn` is Highway. functors_cuda.h includes it once: there `hn` has the same functions for a single float,
// and one that is missing is added there. `d` is the tag of what `x` is, a vector or that float. GPUCNN_POINTWISE stands before
// every function that a kernel calls.
//
// A functor has
//   backward_reads_y()      whether the backward is computed from y; else from x
//   forward(d, x)           y
//   backward(d, kept, dy)   dx; `kept` is y or x, as backward_reads_y says
//   kHasExponential         if it computes one, which epilogues keep out of their unrolled loops
// Comparisons are false for NaN: select by them in such a way that NaN stays NaN.

struct Identity {
  constexpr bool backward_reads_y() const { return true; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D, hn::Vec<D> x) const {
    return x;
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D, hn::Vec<D>, hn::Vec<D> dy) const {
    return dy;
  }
};

struct Relu {
  constexpr bool backward_reads_y() const { return true; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);  // a maximum would turn NaN into 0
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> y, hn::Vec<D> dy) const {
    return hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), dy);
  }
};

struct LeakyRelu {
  float negative_slope;
  // A negative slope makes y > 0 of x < 0, too.
  constexpr bool backward_reads_y() const { return negative_slope >= 0; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    return hn::IfThenElse(hn::Lt(hn::Zero(d), x), x, hn::Mul(hn::Set(d, negative_slope), x));
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> kept, hn::Vec<D> dy) const {
    return hn::IfThenElse(hn::Lt(hn::Zero(d), kept), dy, hn::Mul(hn::Set(d, negative_slope), dy));
  }
};

struct Relu6 {
  constexpr bool backward_reads_y() const { return true; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    const hn::Vec<D> most = hn::Set(d, 6), y = hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    return hn::IfThenElse(hn::Lt(most, y), most, y);
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> y, hn::Vec<D> dy) const {
    const hn::Vec<D> above = hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), dy);
    return hn::IfThenZeroElse(hn::Le(hn::Set(d, 6), y), above);
  }
};

/// x where that is below `most`, else `most`; NaN stays NaN.
template <class D>
GPUCNN_POINTWISE hn::Vec<D> at_most(D d, float most, hn::Vec<D> x) {
  const hn::Vec<D> limit = hn::Set(d, most);
  return hn::IfThenElse(hn::Lt(limit, x), limit, x);
}

constexpr float kExpIsZero = 105;  // exp(-105) is 0 in f32, and Highway's Exp would overflow far below

/// up = 1 / (1 + exp(-x)) and down = 1 - up, neither by a difference. Of NaN they are any number.
template <class D>
struct Logistic {
  hn::Vec<D> up, down;
  GPUCNN_POINTWISE Logistic(D d, hn::Vec<D> x) {
    const hn::Vec<D> one = hn::Set(d, 1), e = hn::Exp(d, hn::Neg(at_most(d, kExpIsZero, hn::Abs(x))));
    const hn::Vec<D> larger = hn::Div(one, hn::Add(one, e)), smaller = hn::Mul(e, larger);
    const auto negative = hn::Lt(x, hn::Zero(d));
    up = hn::IfThenElse(negative, smaller, larger);
    down = hn::IfThenElse(negative, larger, smaller);
  }
};

/// cdf = the normal distribution's at x, (1 + erf(x / sqrt(2))) / 2, and e = exp(-x^2 / 2). At -|x| the former is e t P(t) with
/// t = 1 / (1 + 0.35 |x|) and a polynomial P that was fitted for |x| <= 14.5, where e becomes 0. The relative error of t P(t) is
/// below 3.2e-8, with f32's roundings below 3e-7; e adds the rounding of its argument, up to 6e-8 x^2 / 2.
template <class D>
struct Normal {
  hn::Vec<D> cdf, e;
  GPUCNN_POINTWISE Normal(D d, hn::Vec<D> x) {
    const hn::Vec<D> one = hn::Set(d, 1), size = at_most(d, 14.5F, hn::Abs(x));
    const hn::Vec<D> t = hn::Div(one, hn::MulAdd(size, hn::Set(d, 0.35F), one));
    hn::Vec<D> ratio = hn::Set(d, -0.0291580297F);
    ratio = hn::MulAdd(ratio, t, hn::Set(d, 0.144031614F));
    ratio = hn::MulAdd(ratio, t, hn::Set(d, -0.255840391F));
    ratio = hn::MulAdd(ratio, t, hn::Set(d, 0.159321249F));
    ratio = hn::MulAdd(ratio, t, hn::Set(d, -0.0232133921F));
    ratio = hn::MulAdd(ratio, t, hn::Set(d, 0.105552927F));
    ratio = hn::MulAdd(ratio, t, hn::Set(d, 0.119821183F));
    ratio = hn::MulAdd(ratio, t, hn::Set(d, 0.139863536F));
    ratio = hn::MulAdd(ratio, t, hn::Set(d, 0.139621302F));
    e = hn::Exp(d, hn::Mul(hn::Mul(hn::Set(d, -0.5F), size), size));
    const hn::Vec<D> tail = hn::Mul(hn::Mul(e, t), ratio);
    cdf = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail));
  }
};

struct Gelu {
  static constexpr bool kHasExponential = true;
  constexpr bool backward_reads_y() const { return false; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    return hn::Mul(x, Normal<D>(d, x).cdf);
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> x, hn::Vec<D> dy) const {
    const Normal<D> normal(d, x);
    return hn::Mul(dy, hn::MulAdd(x, hn::Mul(normal.e, hn::Set(d, 0.398942280F)), normal.cdf));  // 1 / sqrt(2 pi)
  }
};

/// (1 + tanh(u)) / 2 is 1 / (1 + exp(-2u)), which cancels nowhere; 2u = x (kLinear + kCubic x^2).
struct GeluTanh {
  static constexpr bool kHasExponential = true;
  static constexpr float kLinear = 1.59576912F, kCubic = 0.0713548163F;  // 2 sqrt(2 / pi), and that times 0.044715
  constexpr bool backward_reads_y() const { return false; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    return hn::Mul(x, logistic(d, x, square(d, x)).up);
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> x, hn::Vec<D> dy) const {
    const hn::Vec<D> x2 = square(d, x), slope = hn::MulAdd(x2, hn::Set(d, 3 * kCubic), hn::Set(d, kLinear));
    const Logistic<D> half = logistic(d, x, x2);
    return hn::Mul(dy, hn::MulAdd(hn::Mul(x, slope), hn::Mul(half.up, half.down), half.up));
  }
  /// x^2, limited where all is decided, so that no finite x makes it infinite.
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> square(D d, hn::Vec<D> x) const {
    return at_most(d, 1e4F, hn::Mul(x, x));
  }
  template <class D>
  GPUCNN_POINTWISE Logistic<D> logistic(D d, hn::Vec<D> x, hn::Vec<D> x2) const {
    return Logistic<D>(d, hn::Mul(x, hn::MulAdd(x2, hn::Set(d, kCubic), hn::Set(d, kLinear))));
  }
};

struct Silu {
  static constexpr bool kHasExponential = true;
  constexpr bool backward_reads_y() const { return false; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    return hn::Mul(x, Logistic<D>(d, x).up);
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> x, hn::Vec<D> dy) const {
    const Logistic<D> logistic(d, x);
    return hn::Mul(dy, hn::Mul(logistic.up, hn::MulAdd(x, logistic.down, hn::Set(d, 1))));
  }
};

struct Hardswish {
  constexpr bool backward_reads_y() const { return false; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    const hn::Vec<D> shifted = hn::Add(x, hn::Set(d, 3)), above = hn::IfThenZeroElse(hn::Lt(shifted, hn::Zero(d)), shifted);
    return hn::Mul(x, hn::Mul(at_most(d, 6, above), hn::Set(d, 1.0F / 6)));
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> x, hn::Vec<D> dy) const {
    const hn::Vec<D> three = hn::Set(d, 3), between = hn::Mul(dy, hn::MulAdd(x, hn::Set(d, 1.0F / 3), hn::Set(d, 0.5F)));
    return hn::IfThenZeroElse(hn::Le(x, hn::Neg(three)), hn::IfThenElse(hn::Lt(x, three), between, dy));
  }
};

struct Sigmoid {
  static constexpr bool kHasExponential = true;
  constexpr bool backward_reads_y() const { return true; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    return hn::IfThenElse(hn::Eq(x, x), Logistic<D>(d, x).up, x);
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> y, hn::Vec<D> dy) const {
    return hn::Mul(dy, hn::Mul(y, hn::Sub(hn::Set(d, 1), y)));
  }
};

struct Tanh {
  static constexpr bool kHasExponential = true;
  constexpr bool backward_reads_y() const { return true; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    return hn::Tanh(d, x);
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D> y, hn::Vec<D> dy) const {
    return hn::Mul(dy, hn::NegMulAdd(y, y, hn::Set(d, 1)));
  }
};

/// A multiple; its backward is said to read y, which it does not look at, so that x need not be kept.
struct Scaled {
  float factor;
  constexpr bool backward_reads_y() const { return true; }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> forward(D d, hn::Vec<D> x) const {
    return hn::Mul(hn::Set(d, factor), x);
  }
  template <class D>
  GPUCNN_POINTWISE hn::Vec<D> backward(D d, hn::Vec<D>, hn::Vec<D> dy) const {
    return hn::Mul(hn::Set(d, factor), dy);
  }
};

/// Calls `use` with the functor of `function`.
template <class Use>
GPUCNN_POINTWISE auto with_functor(const Activation& function, const Use& use) {
  switch (function.kind) {
    case Activation::none: break;
    case Activation::relu: return use(Relu{});
    case Activation::leaky_relu: return use(LeakyRelu{function.negative_slope});
    case Activation::relu6: return use(Relu6{});
    case Activation::gelu: return use(Gelu{});
    case Activation::gelu_tanh: return use(GeluTanh{});
    case Activation::silu: return use(Silu{});
    case Activation::hardswish: return use(Hardswish{});
    case Activation::sigmoid: return use(Sigmoid{});
    case Activation::tanh: return use(Tanh{});
    case Activation::scaled: return use(Scaled{function.factor});
  }
  return use(Identity{});
}
