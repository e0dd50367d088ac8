#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include <cublasLt.h>

#include "standin.h"

// Stands in for libcublasLt where there is no GPU: the calls that the library makes, computed in double as NVIDIA documents them.
// What it does not know it refuses, so that a test meets a wrong descriptor here as it would on a GPU.
namespace {

constexpr std::uint64_t kMagic = 0x6770'7563'6e6e'4c74;
constexpr std::size_t kWorkspace = 4096;

/// What cublasLtMatmulDesc_t points to. The rest has its documented default and cannot be changed.
struct Desc {
  cublasComputeType_t compute;
  cublasOperation_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};

struct Layout {
  std::uint64_t rows, columns;
  std::int64_t ld;
  bool bf16;  // otherwise f32
};

struct Preference {
  std::uint64_t most_workspace = 0;
  std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

/// What is computed: D = op(A) op(B), of M rows and N columns.
struct Problem {
  std::int32_t M, N, K;
  bool transa, transb, tf32, bias, bf16, bf16_result;
  bool rounds_product;  // before the bias is added

  bool operator==(const Problem&) const = default;
};

/// What cublasLtMatmulAlgo_t holds: what it was chosen for.
struct Algo {
  std::uint64_t magic;
  Problem problem;
  std::uint32_t alignment[5];  // of A, B, C, D and the bias
  std::uint32_t unused[4];
};
static_assert(sizeof(Algo) == sizeof(cublasLtMatmulAlgo_t));

template <class T, class Opaque>
T& as(Opaque* pointer) {
  return *reinterpret_cast<T*>(pointer);
}

/// D = alpha op(A) op(B) + beta C + bias, everything column-major, C being D: a copy of all that the call was given. The bias is of
/// D's type.
struct Product {
  Problem problem;
  Layout A, B, D;
  float alpha, beta;
  const void *a, *b, *bias;  // device memory
  void *d, *workspace;
  std::size_t workspace_bytes;
};

std::int64_t elements(const Layout& layout) {
  return static_cast<std::int64_t>(layout.columns - 1) * layout.ld + static_cast<std::int64_t>(layout.rows);
}

std::size_t item_of(bool bf16) { return bf16 ? sizeof(std::uint16_t) : sizeof(float); }

std::size_t bytes_of(const Layout& layout) { return static_cast<std::size_t>(elements(layout)) * item_of(layout.bf16); }

float element(const void* memory, std::int64_t i, bool bf16) {
  if (!bf16) return static_cast<const float*>(memory)[i];
  return std::bit_cast<float>(std::uint32_t{static_cast<const std::uint16_t*>(memory)[i]} << 16);
}

/// bf16: to 7 bits of fraction, the nearest; of two, the even one.
void store(double value, void* memory, std::int64_t i, bool bf16) {
  const auto single = static_cast<float>(value);
  if (!bf16) {
    static_cast<float*>(memory)[i] = single;
    return;
  }
  const auto bits = std::bit_cast<std::uint32_t>(single);
  const std::uint32_t rounded = std::isnan(single) ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  static_cast<std::uint16_t*>(memory)[i] = static_cast<std::uint16_t>(rounded);
}

template <class T>
T* on_host(T* device, std::size_t bytes) {
  return static_cast<T*>(gpucnn_standin_address(device, bytes));
}

/// The nearest number with TF32's 10 bits of mantissa.
float to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0xfff + (bits >> 13 & 1)) & ~std::uint32_t{0x1fff});
}

/// The matrix as rows of doubles: as it lies, if its columns are the rows, otherwise turned over.
std::vector<double> rows_of(const void* matrix, const Layout& layout, bool columns_are_rows, std::int64_t rows,
                            std::int64_t columns, bool tf32) {
  std::vector<double> out(static_cast<std::size_t>(rows * columns));
  double* to = out.data();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      const float value = element(matrix, columns_are_rows ? r * layout.ld + c : c * layout.ld + r, layout.bf16);
      *to++ = static_cast<double>(tf32 ? to_tf32(value) : value);
    }
  }
  return out;
}

void run(void* argument) {
  const Product& p = *static_cast<const Product*>(argument);
  const std::int64_t M = p.problem.M, N = p.problem.N, K = p.problem.K;
  std::memset(on_host(p.workspace, p.workspace_bytes), 0xa5, p.workspace_bytes);
  const void* a = on_host(p.a, bytes_of(p.A));
  const void* b = on_host(p.b, bytes_of(p.B));
  void* d = on_host(p.d, bytes_of(p.D));
  const void* bias = on_host(p.bias, static_cast<std::size_t>(M) * item_of(p.D.bf16));

  const std::vector<double> a_columns = rows_of(a, p.A, !p.problem.transa, K, M, p.problem.tf32);
  const std::vector<double> b_columns = rows_of(b, p.B, !p.problem.transb, N, K, p.problem.tf32);
  std::vector<double> sums(static_cast<std::size_t>(M * N));
  constexpr std::int64_t kStrip = 64;  // of K: what one strip of A needs stays in cache
  for (std::int64_t first = 0; first < K; first += kStrip) {
    const std::int64_t last = std::min(K, first + kStrip);
    for (std::int64_t n = 0; n < N; ++n) {
      double* column = sums.data() + n * M;
      for (std::int64_t k = first; k < last; ++k) {
        const double factor = b_columns[static_cast<std::size_t>(n * K + k)];
        const double* a_column = a_columns.data() + k * M;
        for (std::int64_t m = 0; m < M; ++m) column[m] += factor * a_column[m];
      }
    }
  }
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t m = 0; m < M; ++m) {
      const std::int64_t place = n * p.D.ld + m;
      double value = double{p.alpha} * sums[static_cast<std::size_t>(n * M + m)];
      if (p.beta != 0) value += double{p.beta} * double{element(d, place, p.D.bf16)};  // with beta 0, C is not read
      if (p.problem.rounds_product) {
        store(value, d, place, p.D.bf16);
        value = double{element(d, place, p.D.bf16)};
      }
      if (bias) value += double{element(bias, m, p.D.bf16)};
      store(value, d, place, p.D.bf16);
    }
  }
}

void destroy(void* argument) { delete static_cast<Product*>(argument); }

cublasStatus_t refuse(cublasStatus_t status, const char* why) {
  std::fprintf(stderr, "cuBLASLt stand-in: %s\n", why);
  return status;
}

/// Whether it stands in for a library that has no pedantic algorithms: GPUCNN_STANDIN_CUBLASLT=no_pedantic.
bool lacks_pedantic() {
  const char* value = std::getenv("GPUCNN_STANDIN_CUBLASLT");
  return value && std::strcmp(value, "no_pedantic") == 0;
}

/// Whether columns of a factor begin at no multiple of 4 bytes. Then the cuBLASLt of CUDA 13.0 on an H100 adds a bias to bf16
/// products by a kernel of its own, which finds them rounded; otherwise it rounds only once.
bool crooked(const Layout& A, const Layout& B) { return A.bf16 && (A.ld % 2 != 0 || B.ld % 2 != 0); }

/// What is to be computed, if the matrices fit together.
std::optional<Problem> problem(const Desc& desc, const Layout& A, const Layout& B, const Layout& C, const Layout& D) {
  const bool transa = desc.transa == CUBLAS_OP_T, transb = desc.transb == CUBLAS_OP_T;
  const std::uint64_t M = transa ? A.columns : A.rows, K = transa ? A.rows : A.columns, N = transb ? B.rows : B.columns;
  const bool fits = (transb ? B.columns : B.rows) == K && D.rows == M && D.columns == N && C.rows == M && C.columns == N;
  if (!fits || C.ld != D.ld || A.bf16 != B.bf16 || C.bf16 != D.bf16) return std::nullopt;
  // f32 by the pedantic or the TF32 type only, with a result in f32; bf16 by the plain one.
  const bool plain = desc.compute == CUBLAS_COMPUTE_32F;
  if (A.bf16 ? !plain : (plain && !lacks_pedantic()) || D.bf16) return std::nullopt;
  return Problem{static_cast<std::int32_t>(M),
                 static_cast<std::int32_t>(N),
                 static_cast<std::int32_t>(K),
                 transa,
                 transb,
                 desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32,
                 desc.epilogue == CUBLASLT_EPILOGUE_BIAS,
                 A.bf16,
                 D.bf16,
                 D.bf16 && desc.epilogue == CUBLASLT_EPILOGUE_BIAS && crooked(A, B)};
}

/// The largest power of 2, but at most 16, that divides the address.
std::uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  return static_cast<std::uint32_t>(std::min<std::uintptr_t>(address & -address, 16));
}

bool aligned(const void* pointer, std::uint32_t alignment) { return reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0; }

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(a), other = reinterpret_cast<std::uintptr_t>(b);
  return first < other + b_bytes && other < first + a_bytes;
}

/// Reads an attribute of this type into `value`.
template <class T>
bool read(T& value, const void* buffer, std::size_t bytes) {
  if (!buffer || bytes != sizeof(T)) return false;
  std::memcpy(&value, buffer, sizeof(T));
  return true;
}

bool read_operation(cublasOperation_t& value, const void* buffer, std::size_t bytes) {
  return read(value, buffer, bytes) && (value == CUBLAS_OP_N || value == CUBLAS_OP_T);
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  auto made = std::make_unique<gpucnn_standin_context>();
  if (!gpucnn_standin_create(made.get())) return refuse(CUBLAS_STATUS_INTERNAL_ERROR, "a context while a stream captures");
  *handle = reinterpret_cast<cublasLtHandle_t>(made.release());
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete &as<gpucnn_standin_context>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_INTERNAL_ERROR";
  }
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED ? "the stand-in does not know this" : "refused by the stand-in";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType_t scale) {
  const bool known =
      compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC || compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  if (!known || scale != CUDA_R_32F) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "compute type");
  *desc = reinterpret_cast<cublasLtMatmulDesc_t>(new Desc{compute});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete &as<Desc>(desc);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t opaque, cublasLtMatmulDescAttributes_t attribute,
                                              const void* buffer, size_t bytes) {
  Desc& desc = as<Desc>(opaque);
  bool good = false;
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: good = read_operation(desc.transa, buffer, bytes); break;
    case CUBLASLT_MATMUL_DESC_TRANSB: good = read_operation(desc.transb, buffer, bytes); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      good = read(desc.epilogue, buffer, bytes) &&
             (desc.epilogue == CUBLASLT_EPILOGUE_DEFAULT || desc.epilogue == CUBLASLT_EPILOGUE_BIAS);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: good = read(desc.bias, buffer, bytes); break;
    default: break;
  }
  return good ? CUBLAS_STATUS_SUCCESS : refuse(CUBLAS_STATUS_INVALID_VALUE, "attribute of a product");
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows, uint64_t cols,
                                          int64_t ld) {
  if (type != CUDA_R_32F && type != CUDA_R_16BF) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "type of a matrix");
  constexpr std::uint64_t kMax = std::numeric_limits<std::int32_t>::max();
  if (!rows || !cols || rows > kMax || cols > kMax || ld < static_cast<std::int64_t>(rows)) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "extents of a matrix");
  }
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{rows, cols, ld, type == CUDA_R_16BF});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete &as<Layout>(layout);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete &as<Preference>(preference);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t opaque,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* buffer,
                                                    size_t bytes) {
  Preference& preference = as<Preference>(opaque);
  bool good = false;
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: good = read(preference.most_workspace, buffer, bytes); break;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: good = read(preference.reductions, buffer, bytes); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: good = read(preference.alignment[0], buffer, bytes); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: good = read(preference.alignment[1], buffer, bytes); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: good = read(preference.alignment[2], buffer, bytes); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: good = read(preference.alignment[3], buffer, bytes); break;
    default: break;
  }
  return good ? CUBLAS_STATUS_SUCCESS : refuse(CUBLAS_STATUS_INVALID_VALUE, "attribute of a preference");
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc_opaque, cublasLtMatrixLayout_t A,
                                              cublasLtMatrixLayout_t B, cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D,
                                              cublasLtMatmulPreference_t preference_opaque, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  const Desc& desc = as<Desc>(desc_opaque);
  const Preference& preference = as<Preference>(preference_opaque);
  *count = 0;
  if (!handle || requested < 1) return refuse(CUBLAS_STATUS_INVALID_VALUE, "heuristic");
  gpucnn_standin_use(&as<gpucnn_standin_context>(handle));
  const auto p = problem(desc, as<Layout>(A), as<Layout>(B), as<Layout>(C), as<Layout>(D));
  if (!p) return refuse(CUBLAS_STATUS_INVALID_VALUE, "matrices that do not fit together");
  if (preference.reductions & CUBLASLT_REDUCTION_SCHEME_INPLACE) {
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a reduction that may give other bits every time");
  }
  if ((p->tf32 || p->bf16) && gpucnn_standin_capability() < 80) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (desc.compute == CUBLAS_COMPUTE_32F_PEDANTIC && lacks_pedantic()) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (p->bias && !desc.bias) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "a bias without an address");
  if (preference.most_workspace < kWorkspace) return CUBLAS_STATUS_NOT_SUPPORTED;
  Algo algo{kMagic, *p};
  std::copy_n(preference.alignment, 4, algo.alignment);
  algo.alignment[4] = p->bias ? alignment_of(desc.bias) : 1;
  results[0] = {};
  std::memcpy(&results[0].algo, &algo, sizeof(algo));
  results[0].workspaceSize = kWorkspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  results[0].wavesCount = 1;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc_opaque, const void* alpha, const void* A,
                              cublasLtMatrixLayout_t Adesc, const void* B, cublasLtMatrixLayout_t Bdesc, const void* beta,
                              const void* C, cublasLtMatrixLayout_t Cdesc, void* D, cublasLtMatrixLayout_t Ddesc,
                              const cublasLtMatmulAlgo_t* algo_opaque, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  const Desc& desc = as<Desc>(desc_opaque);
  if (!handle || !alpha || !beta || !A || !B || !C || !D || !algo_opaque)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "a null pointer");
  gpucnn_standin_use(&as<gpucnn_standin_context>(handle));
  const auto p = problem(desc, as<Layout>(Adesc), as<Layout>(Bdesc), as<Layout>(Cdesc), as<Layout>(Ddesc));
  if (!p) return refuse(CUBLAS_STATUS_INVALID_VALUE, "matrices that do not fit together");
  Algo algo{};
  std::memcpy(&algo, algo_opaque, sizeof(algo));
  if (algo.magic != kMagic || algo.problem != *p) return refuse(CUBLAS_STATUS_INVALID_VALUE, "an algorithm of another problem");
  const void* const bias = p->bias ? desc.bias : nullptr;
  if (p->bias && !bias) return refuse(CUBLAS_STATUS_INVALID_VALUE, "a null pointer");
  const void* const pointers[] = {A, B, C, D, bias};
  for (std::size_t i = 0; i < std::size(pointers); ++i) {
    if (!aligned(pointers[i], algo.alignment[i])) {
      return refuse(CUBLAS_STATUS_INVALID_VALUE, "a matrix that is less aligned than was promised");
    }
  }
  if (!workspace || !aligned(workspace, 16) || workspace_bytes < kWorkspace)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "workspace");
  if (C != D) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "C elsewhere than D");
  auto product =
      std::make_unique<Product>(Product{.problem = *p, .A = as<Layout>(Adesc), .B = as<Layout>(Bdesc), .D = as<Layout>(Ddesc)});
  const std::size_t d_bytes = bytes_of(product->D);
  if (overlap(A, bytes_of(product->A), D, d_bytes) || overlap(B, bytes_of(product->B), D, d_bytes)) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "a result over a factor");
  }
  std::memcpy(&product->alpha, alpha, sizeof(float));
  std::memcpy(&product->beta, beta, sizeof(float));
  product->a = A, product->b = B, product->bias = bias, product->d = D;
  product->workspace = workspace, product->workspace_bytes = workspace_bytes;
  gpucnn_standin_enqueue(stream, run, destroy, product.release());
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
