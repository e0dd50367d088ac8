// The pointwise activations, one functor each for both devices, in Highway's words. functors_cpu-inl.h includes this file for every
// instruction set: there `hn` is Highway. functors_cuda.h includes it once: there `hn` has the same functions for a single float,
// and one that is missing is added there. `d` is the tag of what `x` is, a vector or that float. GPUCNN_POINTWISE stands before
// every function that a kernel calls.
//
// A functor has
//   backward_reads_y()      whether the backward is computed from y; else from x
//   forward(d, x)           y
//   backward(d, kept, dy)   dx; `kept` is y or x, as backward_reads_y says
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

/// Calls `use` with the functor of `function`.
template <class Use>
GPUCNN_POINTWISE auto with_functor(const Activation& function, const Use& use) {
  switch (function.kind) {
    case Activation::none: break;
    case Activation::relu: return use(Relu{});
    case Activation::leaky_relu: return use(LeakyRelu{function.negative_slope});
    case Activation::relu6: return use(Relu6{});
  }
  return use(Identity{});
}
