#include <gpucnn/kernels/vendor/cublaslt.h>

#include <map>
#include <mutex>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/gpu/shared_library.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn::kernels::cublaslt {

const Functions& functions() {
  static const Functions table = [] {
    const gpu::SharedLibrary& library = gpu::cublaslt_library();
    Functions f{};
    library.load("cublasLtCreate", f.create);
    library.load("cublasLtGetStatusName", f.get_status_name);
    library.load("cublasLtGetStatusString", f.get_status_string);
    library.load("cublasLtMatmulDescCreate", f.matmul_desc_create);
    library.load("cublasLtMatmulDescDestroy", f.matmul_desc_destroy);
    library.load("cublasLtMatmulDescSetAttribute", f.matmul_desc_set_attribute);
    library.load("cublasLtMatrixLayoutCreate", f.matrix_layout_create);
    library.load("cublasLtMatrixLayoutDestroy", f.matrix_layout_destroy);
    library.load("cublasLtMatmulPreferenceCreate", f.matmul_preference_create);
    library.load("cublasLtMatmulPreferenceDestroy", f.matmul_preference_destroy);
    library.load("cublasLtMatmulPreferenceSetAttribute", f.matmul_preference_set_attribute);
    library.load("cublasLtMatmulAlgoGetHeuristic", f.matmul_algo_get_heuristic);
    library.load("cublasLtMatmul", f.matmul);
    return f;
  }();
  return table;
}

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw DeviceError(
      formatted("{} failed: {} ({})", call, functions().get_status_string(status), functions().get_status_name(status)));
}

cublasLtHandle_t handle(Device device) {
  // Never destroyed: at the end of the process the driver may be gone before them.
  static std::mutex& mutex = *new std::mutex;
  static auto& handles = *new std::map<int, cublasLtHandle_t>;
  {
    const std::scoped_lock lock(mutex);
    if (const auto made = handles.find(device.index); made != handles.end()) return made->second;
  }
  const auto no_capture = gpu::queue(device).between_captures();
  const gpu::StreamInUse current = gpu::queue(device).stream();  // a context belongs to the GPU that is current when it is made
  const std::scoped_lock lock(mutex);
  if (const auto made = handles.find(device.index); made != handles.end()) return made->second;
  cublasLtHandle_t made = nullptr;
  check(functions().create(&made), "cublasLtCreate");
  return handles[device.index] = made;
}

MatmulDesc matmul_desc(cublasComputeType_t compute, cudaDataType_t scale) {
  cublasLtMatmulDesc_t made = nullptr;
  check(functions().matmul_desc_create(&made, compute, scale), "cublasLtMatmulDescCreate");
  return MatmulDesc(made);
}

MatrixLayout matrix_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns) {
  cublasLtMatrixLayout_t made = nullptr;
  const auto [R, C] = std::pair(static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns));
  check(functions().matrix_layout_create(&made, type, R, C, rows), "cublasLtMatrixLayoutCreate");
  return MatrixLayout(made);
}

MatmulPreference matmul_preference() {
  cublasLtMatmulPreference_t made = nullptr;
  check(functions().matmul_preference_create(&made), "cublasLtMatmulPreferenceCreate");
  return MatmulPreference(made);
}

}  // namespace gpucnn::kernels::cublaslt
