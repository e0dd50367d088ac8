#include <gpucnn/kernels/vendor/onednn.h>

#include <omp.h>

namespace gpucnn::kernels::onednn {

using dnnl::memory;

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

OneThread::OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }

OneThread::~OneThread() { omp_set_num_threads(before_); }

void Arguments::add(int kind, const memory::desc& desc, const Engine& engine) {
  memories_.emplace_back(desc, engine.engine, nullptr);
  arguments_.push_back({kind, memories_.back().get()});
}

void Arguments::run(const Primitive& primitive, const Engine& engine) const {
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive.get().get(), engine.stream.get(), static_cast<int>(arguments_.size()), arguments_.data()),
      "oneDNN could not run a primitive");
}

Reorder::Reorder(const memory::desc& from, const memory::desc& to, const Engine& engine) : needed_(from != to) {
  if (!needed_) return;
  const OneThread one;
  primitive_ = Primitive::make<dnnl::reorder>(dnnl::reorder::primitive_desc(engine.engine, from, engine.engine, to, attributes()));
  arguments_.add(DNNL_ARG_FROM, from, engine);
  arguments_.add(DNNL_ARG_TO, to, engine);
  arguments_.add(DNNL_ARG_SCRATCHPAD, primitive_.scratch_desc(), engine);
}

void Reorder::run(const void* from, void* to, const Engine& engine) {
  const OneThread one;
  const Tensor scratch = Tensor::empty({primitive_.scratch_bytes()}, DType::u8);
  arguments_.set(0, from);
  arguments_.set(1, to);
  arguments_.set(2, scratch.bytes());
  arguments_.run(primitive_, engine);
}

}  // namespace gpucnn::kernels::onednn
