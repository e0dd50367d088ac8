#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include <gpucnn/core/tensor.h>

/// The one header that knows which oneDNN this is: 2.6 and 3.x make primitives by different calls.
namespace gpucnn::kernels::onednn {

/// While one lives, oneDNN hears from OpenMP that there is one thread: for making primitives, and for running them inside a task of
/// ours.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// A primitive that is run by its C call with a few memory arguments; the C++ call would build a map each time.
class Primitive {
 public:
  Primitive() = default;
  /// `pd` is any primitive descriptor that matches `Kind`.
  template <class Kind, class Descriptor>
  static Primitive make(const Descriptor& pd) {
    Primitive made;
    made.primitive_ = Kind(pd);
    made.scratch_bytes_ = pd.scratchpad_desc().get_size();
    made.scratch_desc_ = pd.scratchpad_desc();
    return made;
  }

  const dnnl::primitive& get() const noexcept { return primitive_; }
  std::size_t scratch_bytes() const noexcept { return scratch_bytes_; }
  const dnnl::memory::desc& scratch_desc() const noexcept { return scratch_desc_; }

 private:
  dnnl::primitive primitive_;
  std::size_t scratch_bytes_ = 0;
  dnnl::memory::desc scratch_desc_;
};

/// The CPU engine and stream a plan runs on.
struct Engine {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
};

/// The arguments of one call: memory objects made once, pointed at data before each run. One thread at a time.
class Arguments {
 public:
  /// Adds an argument of this kind and layout. Its index is the number of calls before.
  void add(int kind, const dnnl::memory::desc& desc, const Engine& engine);
  void set(std::size_t index, const void* data) { memories_[index].set_data_handle(const_cast<void*>(data)); }
  std::size_t size() const noexcept { return memories_.size(); }
  void run(const Primitive& primitive, const Engine& engine) const;

 private:
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

/// Copies a tensor from one layout to another, and keeps the other in memory of its own; nothing to do where both are the same.
class Reorder {
 public:
  Reorder() = default;
  Reorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to, const Engine& engine);
  /// Whether the layouts differ; if not, `run` must not be called and the data is used as it lies.
  bool needed() const noexcept { return needed_; }
  void run(const void* from, void* to, const Engine& engine);

 private:
  bool needed_ = false;
  Primitive primitive_;
  Arguments arguments_;
};

/// Attributes of every primitive: the caller gives the scratch memory, so that a run allocates nothing large and can be sharded.
dnnl::primitive_attr attributes();

}  // namespace gpucnn::kernels::onednn
