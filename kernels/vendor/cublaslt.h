#pragma once

#include <memory>

#include <cublasLt.h>
#include <gpucnn/core/device.h>

/// NVIDIA's matrix products, opened at run time. In builds with CUDA only.
namespace gpucnn::kernels::cublaslt {

/// The calls that are used. Each name is the library's without its prefix.
struct Functions {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtGetStatusName) get_status_name;
  decltype(&cublasLtGetStatusString) get_status_string;
  decltype(&cublasLtMatmulDescCreate) matmul_desc_create;
  decltype(&cublasLtMatmulDescDestroy) matmul_desc_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) matmul_desc_set_attribute;
  decltype(&cublasLtMatrixLayoutCreate) matrix_layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) matrix_layout_destroy;
  decltype(&cublasLtMatmulPreferenceCreate) matmul_preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) matmul_preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) matmul_preference_set_attribute;
  decltype(&cublasLtMatmulAlgoGetHeuristic) matmul_algo_get_heuristic;
  decltype(&cublasLtMatmul) matmul;
};

/// Opens the library at the first call. Throws `DeviceError` without it.
const Functions& functions();

/// Throws `DeviceError` that names the call unless it succeeded.
void check(cublasStatus_t status, const char* call);

/// This GPU's context, made at the first call and kept for good. It is told of no stream, and several threads may use it at once.
/// Whoever uses it makes its GPU current.
cublasLtHandle_t handle(Device device);

struct Destroy {
  void operator()(cublasLtMatmulDescOpaque_t* desc) const noexcept { functions().matmul_desc_destroy(desc); }
  void operator()(cublasLtMatrixLayoutOpaque_t* layout) const noexcept { functions().matrix_layout_destroy(layout); }
  void operator()(cublasLtMatmulPreferenceOpaque_t* preference) const noexcept {
    functions().matmul_preference_destroy(preference);
  }
};

using MatmulDesc = std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy>;
using MatrixLayout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy>;
using MatmulPreference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroy>;

MatmulDesc matmul_desc(cublasComputeType_t compute, cudaDataType_t scale);
/// A dense column-major matrix: column after column, without gaps.
MatrixLayout matrix_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns);
MatmulPreference matmul_preference();

/// `value` must have the very type that the library documents for the attribute.
template <class T>
void set(const MatmulDesc& desc, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check(functions().matmul_desc_set_attribute(desc.get(), attribute, &value, sizeof(value)), "cublasLtMatmulDescSetAttribute");
}

template <class T>
void set(const MatmulPreference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  check(functions().matmul_preference_set_attribute(preference.get(), attribute, &value, sizeof(value)),
        "cublasLtMatmulPreferenceSetAttribute");
}

}  // namespace gpucnn::kernels::cublaslt
