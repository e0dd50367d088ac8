#include <gpucnn/distributed/launcher.h>

#include <cstdlib>

namespace gpucnn {
namespace {

int number(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? std::atoi(value) : 0;
}

}  // namespace

Launcher launcher() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE")) return {"Open MPI's mpirun", number("OMPI_COMM_WORLD_SIZE")};
  if (std::getenv("PMI_SIZE")) return {"A launcher with PMI, as MPICH's mpirun,", number("PMI_SIZE")};
  if (std::getenv("PMIX_RANK")) return {"A launcher with PMIx", 0};  // as srun --mpi=pmix
  if (number("SLURM_STEP_NUM_TASKS") > 1) return {"srun", number("SLURM_STEP_NUM_TASKS"), false};
  return {};
}

}  // namespace gpucnn
