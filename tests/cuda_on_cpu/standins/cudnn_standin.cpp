#include "cudnn_standin.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "standin.h"

// Stands in for libcudnn where there is no GPU: the functions that the library calls, for the descriptors that it makes, as NVIDIA
// documents them. Whatever it does not know it refuses, so that a test meets a wrong descriptor here as it would on a GPU. It has
// engines that must not be chosen before the one that must; with GPUCNN_STANDIN_CUDNN=none it has no engine at all.
namespace gpucnn::cudnn_standin {

const std::array<Engine, 5> kEngines{{
    {.notes = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}},
    {.notes = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, .capability = 80},
    {.notes = {CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4}},
    {.notes = {}, .plannable = false},
    {.notes = {}},
}};

namespace {

thread_local std::string last_error;

/// What every exported function does around its work.
template <class Work>
cudnnStatus_t guarded(Work work) {
  try {
    work();
    return CUDNN_STATUS_SUCCESS;
  } catch (const Refusal& refusal) {
    last_error = "stand-in: " + refusal.reason;
    return refusal.status;
  } catch (const std::exception& error) {
    last_error = error.what();
    return CUDNN_STATUS_INTERNAL_ERROR;
  }
}

[[noreturn]] void give_up(const char* sentence) {
  std::fprintf(stderr, "cuDNN stand-in: %s\n", sentence);
  std::abort();
}

/// Of an odd size, and none for forward passes: both happen with cuDNN.
std::int64_t workspace_bytes(Convolution::Pass pass) { return pass == Convolution::Pass::forward ? 0 : 4099; }

// ---- reading ---------------------------------------------------------------------------------------------------------

/// The engines that the heuristics name for a graph.
std::vector<std::size_t> engines(const Convolution& convolution) {
  const char* wish = std::getenv("GPUCNN_STANDIN_CUDNN");
  std::vector<std::size_t> found;
  const int capability = gpucnn_standin_capability();
  for (std::size_t i = 0; i < kEngines.size(); ++i) {
    if (kEngines[i].capability <= capability) found.push_back(i);
  }
  if (convolution.bf16 && capability < 80) found.clear();
  if (wish && std::string_view(wish) == "none") found.clear();
  return found;
}

/// Fills in a descriptor that the caller made, of the kind that is read.
void fill(cudnnBackendDescriptor_t descriptor, Kind kind, const Node& from, std::size_t engine) {
  Node& to = node_of(descriptor);
  require(to.kind == kind && !to.finalized, "results go to a descriptor of another kind");
  to.engine = engine;
  to.convolution = from.convolution;
  to.tensors = from.tensors;
  to.uids = from.uids;
  to.finalized = true;
}

/// How many values there are; writes `most` of them, if any.
std::int64_t get(const Node& node, Name name, cudnnBackendAttributeType_t type, std::int64_t most, void* values) {
  require(node.finalized, "a descriptor is read that is not finalised", CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
  require(most >= 0 && (most == 0 || values), "no room for values", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
  const auto is = [&](Kind kind, Name asked, cudnnBackendAttributeType_t its_type) {
    if (node.kind != kind || name != asked) return false;
    require(type == its_type, "an attribute of another type", CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    return true;
  };
  auto* descriptors = static_cast<cudnnBackendDescriptor_t*>(values);
  if (is(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR)) {
    const Node& graph = *node.node(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    const auto found = engines(graph.convolution);
    const auto count = static_cast<std::int64_t>(found.size());
    for (std::int64_t i = 0; i < std::min(most, count); ++i) {
      fill(descriptors[i], CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, graph, found[static_cast<std::size_t>(i)]);
    }
    return count;
  }
  if (is(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR)) {
    if (most) fill(descriptors[0], CUDNN_BACKEND_ENGINE_DESCRIPTOR, node, node.engine);
    return 1;
  }
  if (is(CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE)) {
    const auto& notes = kEngines[node.engine].notes;
    std::copy_n(notes.begin(), std::min(most, static_cast<std::int64_t>(notes.size())),
                static_cast<cudnnBackendNumericalNote_t*>(values));
    return static_cast<std::int64_t>(notes.size());
  }
  if (is(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64)) {
    if (most) *static_cast<std::int64_t*>(values) = workspace_bytes(node.convolution.pass);
    return 1;
  }
  refuse(CUDNN_STATUS_NOT_SUPPORTED, "attribute " + std::to_string(name) + " cannot be read");
}

// ---- executing -------------------------------------------------------------------------------------------------------

/// A plan with the memory it works on.
struct Job {
  std::weak_ptr<const Node> plan;
  bool captured;
  Convolution convolution;
  std::array<void*, 4> pointers{};  // of x, weight, bias and y, on the device
  void* workspace;
  std::size_t workspace_bytes;
};

void run(void* argument) {
  const Job& job = *static_cast<const Job*>(argument);
  if (job.captured && job.plan.expired()) give_up("a plan is replayed that was destroyed, and its kernels with it");
  const Convolution& c = job.convolution;
  if (job.workspace_bytes) std::memset(gpucnn_standin_address(job.workspace, job.workspace_bytes), 0xa5, job.workspace_bytes);
  const std::array<std::int64_t, 4> numels{c.x.numel(), c.weight.numel(), c.y.C, c.y.numel()};
  std::array<void*, 4> on_host{};
  for (std::size_t i = 0; i < on_host.size(); ++i) {
    const std::size_t bytes = static_cast<std::size_t>(numels[i]) * (c.bf16 ? 2 : 4);
    on_host[i] = gpucnn_standin_address(job.pointers[i], bytes);
  }
  compute(c, on_host[0], on_host[1], on_host[2], on_host[3]);
}

void destroy(void* argument) { delete static_cast<Job*>(argument); }

void execute(cudaStream_t stream, const std::shared_ptr<const Node>& plan_node, const Node& pack) {
  const Node& plan = *plan_node;
  require(plan.kind == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && plan.finalized, "no finalised plan");
  require(pack.kind == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR && pack.finalized, "no finalised variant pack");
  if (plan.engine != kTensorCores && plan.engine != kGood) give_up("an engine is run that must not be chosen");
  const auto uids = pack.all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  auto job = std::make_unique<Job>();
  job->plan = plan_node;
  job->captured = gpucnn_standin_captures(stream);
  job->convolution = plan.convolution;
  job->workspace_bytes = static_cast<std::size_t>(workspace_bytes(plan.convolution.pass));
  job->workspace = pack.one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  require(uids.size() == plan.tensors.size(), "other uids than the graph's");
  for (std::size_t i = 0; i < uids.size(); ++i) {
    const auto tensor = plan.tensors.find(uids[i]);
    require(tensor != plan.tensors.end(), "a uid that the graph does not have");
    require(pointers[i], "a null pointer", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    const auto alignment = tensor->second->one<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    require(reinterpret_cast<std::uintptr_t>(pointers[i]) % static_cast<std::uintptr_t>(alignment) == 0,
            "a pointer less aligned than its tensor", CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
    job->pointers[static_cast<std::size_t>(std::ranges::find(plan.uids, uids[i]) - plan.uids.begin())] = pointers[i];
  }
  require(job->workspace_bytes == 0 || job->workspace, "no workspace", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
  require(reinterpret_cast<std::uintptr_t>(job->workspace) % 16 == 0, "a misaligned workspace",
          CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
  gpucnn_standin_enqueue(stream, run, destroy, job.release());
}

}  // namespace
}  // namespace gpucnn::cudnn_standin

struct cudnnContext {
  gpucnn_standin_context context{};
  cudaStream_t stream = nullptr;
};

namespace gpucnn::cudnn_standin {

void use(cudnnHandle_t handle) {
  require(handle, "the handle is null", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
  gpucnn_standin_use_alone(&handle->context);
}

}  // namespace gpucnn::cudnn_standin

// ---- what is exported ------------------------------------------------------------------------------------------------

using namespace gpucnn::cudnn_standin;

extern "C" {

std::size_t cudnnGetVersion() { return CUDNN_VERSION; }

const char* cudnnGetErrorString(cudnnStatus_t status) {
  switch (CUDNN_STATUS_CATEGORY(status)) {
    case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    default: return "CUDNN_STATUS_INTERNAL_ERROR";
  }
}

void cudnnGetLastErrorString(char* message, std::size_t max_size) {
  if (max_size) std::snprintf(message, max_size, "%s", last_error.c_str());
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return guarded([&] {
    auto made = std::make_unique<cudnnContext>();
    require(gpucnn_standin_create(&made->context), "a context is made while a stream captures", CUDNN_STATUS_INTERNAL_ERROR);
    *handle = made.release();
  });
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  return guarded([&] { delete handle; });
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  return guarded([&] {
    use(handle);
    handle->stream = stream;
  });
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* descriptor) {
  return guarded([&] {
    attributes_of(type);
    *descriptor = new Holder{std::make_shared<Node>(Node{.kind = type})};
  });
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  delete static_cast<Holder*>(descriptor);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
  return guarded([&] { set(node_of(descriptor), name, type, count, values); });
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t most, std::int64_t* count, void* values) {
  return guarded([&] {
    const std::int64_t found = get(node_of(descriptor), name, type, most, values);
    if (count) *count = found;
  });
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  return guarded([&] { finalize(node_of(descriptor)); });
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  return guarded([&] {
    use(handle);
    node_of(plan);
    execute(handle->stream, static_cast<const Holder*>(plan)->node, node_of(pack));
  });
}

}  // extern "C"
