#include <gpucnn/kernels/head/linear_head_pass.h>

#include <gpucnn/kernels/cuda/slice_sums.h>
#include <gpucnn/kernels/linear/linear_slices.h>

namespace gpucnn::kernels::cuda {
namespace {

/// Elements of a row of slices.
SliceSums sums_of(const LinearGradients& gradients) {
  const std::int64_t weights = gradients.weight.numel();
  return {weights, weights + (gradients.bias.defined() ? gradients.bias.numel() : 0)};
}

void add(const Tensor& slices, LinearGradients& to, Stream& stream) {
  add_slices(slices, sums_of(to), {to.weight, to.add_weight}, {to.bias, to.add_bias}, to.may_wait, stream);
}

}  // namespace

Tensor linear_head_forward(const HiddenLinear& hidden, LinearHead head, LinearHeadPass& kept, Stream& stream) {
  const Device device = stream.device();
  const std::int64_t N = hidden.x.dim(0), I = hidden.x.dim(1), K = hidden.weight.dim(0), C = head.weight.dim(0);
  head.products = Tensor::empty({linear_forward_slices(N, I, K), N, K}, DType::f32, device);
  linear_forward_slices(hidden.x, hidden.weight, hidden.precision, head.products, stream);
  LinearHeadResults results{
      .logits = Tensor::empty({N, C}, DType::f32, device),
      .dhidden = Tensor::empty({N, K}, hidden.x.dtype(), device),
      .slices = Tensor::empty({linear_head_blocks(N), C * K + (head.bias.defined() ? C : 0)}, DType::f32, device),
      .parts = linear_head_parts(N, device)};
  linear_head(head, results, stream);
  kept = {results.dhidden, results.slices, results.parts};
  return results.logits;
}

void linear_head_backward(const HiddenLinear& hidden, const LinearHeadPass& kept, LinearGradients& of_hidden,
                          LinearGradients& of_output, Tensor& dx, Stream& stream) {
  const std::int64_t N = hidden.x.dim(0), I = hidden.x.dim(1), K = hidden.weight.dim(0);
  Tensor slices = Tensor::empty({linear_backward_slices(N, I, K), sums_of(of_hidden).all}, DType::f32, stream.device());
  linear_backward_slices(hidden.x, kept.dhidden, hidden.weight, hidden.precision, slices, dx, stream);
  add(kept.slices, of_output, stream);
  add(slices, of_hidden, stream);
}

}  // namespace gpucnn::kernels::cuda
