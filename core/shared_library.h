#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace gpucnn::gpu {

/// A library that is opened at run time, so that a machine without it still starts the program. Stays open for good.
class SharedLibrary {
 public:
  /// Opens `file`, as libcudnn.so.9. With GPUCNN_CUDA_LIBRARY_PATH set: in the folders it lists, and nowhere else. Otherwise where
  /// the dynamic linker looks (the program's RUNPATH, LD_LIBRARY_PATH, the system), then in the CUDA toolkit ($CUDA_HOME,
  /// /usr/local/cuda), then in the Python packages `nvidia/<folder>/lib` for each of `python_folders`. Throws `DeviceError` that
  /// says where it looked.
  /// `accept` is asked of each library found; one of which it says what is wrong is passed over, and so is a damaged one.
  using Accept = std::function<std::string(const SharedLibrary&)>;
  SharedLibrary(std::string_view title, const std::string& file, const std::vector<std::string>& python_folders,
                const Accept& accept = {});

  /// The address of a function. Throws `DeviceError` if the library has none of this name.
  void* symbol(const char* name) const;

  /// Sets `function` to the function of this name: `library.load("cudnnCreate", table.create)`.
  template <class Function>
  void load(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(symbol(name));
  }

  const std::string& path() const noexcept { return path_; }

 private:
  std::string title_, path_;
  void* handle_ = nullptr;
};

/// cuDNN 9, of the version this build was made with or a later one. Throws `DeviceError` otherwise.
const SharedLibrary& cudnn_library();
/// cuBLASLt. Throws `DeviceError` without it.
const SharedLibrary& cublaslt_library();

}  // namespace gpucnn::gpu
