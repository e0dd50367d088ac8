#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gpucnn::gpu {

/// A library that is opened at run time, so that a machine without it still starts the program. Stays open for good.
class SharedLibrary {
 public:
  /// Opens `file`, as libcudnn.so.9. With GPUCNN_CUDA_LIBRARY_PATH set: in the folders it lists, and nowhere else. Otherwise,
  /// in this order:
  ///   - where the dynamic linker looks: the program's RUNPATH, LD_LIBRARY_PATH, the system;
  ///   - in the CUDA toolkit: $CUDA_HOME, /usr/local/cuda;
  ///   - in the Python packages `nvidia/<folder>/lib` for each of `python_folders`.
  /// Skips a library that does not load. Throws `DeviceError` that says where it looked.
  SharedLibrary(std::string_view title, const std::string& file, const std::vector<std::string>& python_folders);

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

/// cuDNN 9.8 or later, whichever this build was made with. Throws `DeviceError` otherwise, also if an older one is found before it.
/// For cuDNN's sublibraries, once loaded, stay loaded, and would serve the newer front end too.
const SharedLibrary& cudnn_library();
/// cuBLASLt. Throws `DeviceError` without it.
const SharedLibrary& cublaslt_library();

}  // namespace gpucnn::gpu
