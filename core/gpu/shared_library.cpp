#include <gpucnn/core/gpu/shared_library.h>

#include <cudnn_version.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <cublasLt.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn::gpu {
namespace {

namespace fs = std::filesystem;

/// As cmake/Cuda.cmake asks of the headers.
constexpr std::size_t kMinCudnn = 90800;

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> fields;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(':'), text.size());
    if (end > 0) fields.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fields;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// The folders PREFIX/lib/python3.N/site-packages and dist-packages that exist.
void add_python_packages(const fs::path& prefix, std::vector<fs::path>& found) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(prefix / "lib", ignored)) {
    if (!entry.path().filename().string().starts_with("python3")) continue;
    for (const char* folder : {"site-packages", "dist-packages"}) {
      const fs::path packages = fs::weakly_canonical(entry.path() / folder, ignored);
      if (fs::is_directory(packages, ignored) && std::ranges::find(found, packages) == found.end()) found.push_back(packages);
    }
  }
}

/// Where the `python3` and `pip` of this shell keep their packages.
std::vector<fs::path> python_packages() {
  std::vector<fs::path> found;
  std::vector<std::string> prefixes{variable("VIRTUAL_ENV"), variable("CONDA_PREFIX")};
  std::error_code ignored;
  for (const std::string& bin : split(variable("PATH"))) {
    if (fs::exists(fs::path(bin) / "python3", ignored)) prefixes.push_back(fs::path(bin).parent_path().string());
  }
  if (const std::string home = variable("HOME"); !home.empty()) prefixes.push_back(home + "/.local");
  prefixes.insert(prefixes.end(), {"/usr", "/usr/local"});
  for (const std::string& prefix : prefixes) {
    if (!prefix.empty()) add_python_packages(prefix, found);
  }
  return found;
}

/// What to give to dlopen, in order.
std::vector<std::string> candidates(const std::string& file, const std::vector<std::string>& python_folders) {
  std::vector<std::string> all;
  if (const std::string only = variable("GPUCNN_CUDA_LIBRARY_PATH"); !only.empty()) {
    for (const std::string& folder : split(only)) all.push_back((fs::path(folder) / file).string());
    if (all.empty()) throw DeviceError(formatted("GPUCNN_CUDA_LIBRARY_PATH is '{}', which names no folder", only));
    return all;
  }
  all.push_back(file);
  for (const std::string& toolkit : {variable("CUDA_HOME"), std::string("/usr/local/cuda")}) {
    const std::string candidate = (fs::path(toolkit) / "lib64" / file).string();
    if (!toolkit.empty() && std::ranges::find(all, candidate) == all.end()) all.push_back(candidate);
  }
  for (const fs::path& packages : python_packages()) {
    for (const std::string& folder : python_folders) all.push_back((packages / "nvidia" / folder / "lib" / file).string());
  }
  return all;
}

std::string version_text(std::size_t version) { return formatted("{}.{}.{}", version / 10000, version / 100 % 100, version % 100); }

}  // namespace

SharedLibrary::SharedLibrary(std::string_view title, const std::string& file, const std::vector<std::string>& python_folders)
    : title_(title) {
  std::vector<std::string> tried;
  for (const std::string& candidate : candidates(file, python_folders)) {
    path_ = candidate;
    handle_ = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_) return;
    std::error_code ignored;
    const char* reason = dlerror();
    const bool damaged = candidate != file && fs::exists(candidate, ignored);
    tried.push_back(candidate == file ? "the system's libraries" : damaged && reason ? reason : candidate);
  }
  throw DeviceError(formatted("{} was not found (looked for {} in {})", title, file, joined(tried, ", ")));
}

void* SharedLibrary::symbol(const char* name) const {
  void* found = dlsym(handle_, name);
  if (!found) throw DeviceError(formatted("{} ({}) has no function {}", title_, path_, name));
  return found;
}

const SharedLibrary& cudnn_library() {
  static const SharedLibrary& library = *new SharedLibrary("cuDNN", formatted("libcudnn.so.{}", CUDNN_MAJOR), {"cudnn"});
  std::size_t (*version)() = nullptr;
  library.load("cudnnGetVersion", version);
  if (version() >= kMinCudnn) return library;
  throw DeviceError(formatted(
      "cuDNN {} ({}) is older than {}, which libgpucnn needs; where there is another, GPUCNN_CUDA_LIBRARY_PATH can name its folder",
      version_text(version()), library.path(), version_text(kMinCudnn)));
}

const SharedLibrary& cublaslt_library() {
  static const SharedLibrary& library = *new SharedLibrary("cuBLASLt", formatted("libcublasLt.so.{}", CUBLAS_VER_MAJOR),
                                                           {formatted("cu{}", CUBLAS_VER_MAJOR), "cublas"});
  return library;
}

}  // namespace gpucnn::gpu
