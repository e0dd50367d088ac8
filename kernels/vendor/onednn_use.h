#pragma once

namespace gpucnn::kernels::onednn {

/// While one lives that is true, the calling thread and the threads that work for it may call oneDNN. When the process ends, the C
/// library destroys what oneDNN keeps for all (its cache of primitives, lists, code), whatever other threads are doing: so the exit
/// waits for the uses under way, and later ones are false. So they are once this library's code is about to be unloaded.
class Use {
 public:
  /// `makes`: oneDNN may make something in this use that it keeps for all.
  explicit Use(bool makes) noexcept;
  ~Use();
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  explicit operator bool() const noexcept { return allowed_; }

 private:
  const bool makes_;
  bool in_door_ = false, allowed_ = false;
};

}  // namespace gpucnn::kernels::onednn
