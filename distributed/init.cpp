#include <cstdlib>
#include <stdexcept>

#include <gpucnn/core/config.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/distributed/communicator.h>
#include <gpucnn/distributed/launcher.h>

namespace gpucnn {

namespace {

/// Of this process, as far as the system tells.
int exit_code = EXIT_FAILURE;

}  // namespace

// In a file of its own: a program that never calls it is linked without MPI.
Distributed Distributed::init(int argc, char** argv) {
  // Leaves the run at the process's exit, also where `exit` keeps handles from their destructors.
  static struct Joined {
    ~Joined() {
      if (run) run->leave(exit_code);
    }
    std::shared_ptr<Communicator> run;
  } joined;
  if (joined.run) throw std::logic_error("Distributed::init was called before");
#ifdef __GLIBC__
  ::on_exit([](int code, void*) { exit_code = code; }, nullptr);  // before Joined's destructor
#endif
  joined.run = alone();
  const Launcher by = launcher();
  if (by.name.empty()) return Distributed();
  if (!by.mpi)
    throw DeviceError(
        formatted("{} started {} processes without MPI: --mpi=pmix is for Open MPI, --mpi=pmi2 for MPICH", by.name, by.ranks));
  if constexpr (kBuiltWithMpi) {
    joined.run = join_mpi(argc, argv);
    const int size = joined.run->place().size;
    if (by.ranks > 0 && by.ranks != size) {
      throw DeviceError(
          formatted("{} started {} processes, but the MPI that libgpucnn is linked with sees {}: both must be of one kind", by.name,
                    by.ranks, size));
    }
  } else if (by.ranks != 1) {
    throw DeviceError(
        formatted("{} started this process, but this build of libgpucnn has no MPI (GPUCNN_MPI=ON gives it)", by.name));
  }
  Distributed world(joined.run);
  world.require_same("version of libgpucnn", kVersion);
  return world;
}

}  // namespace gpucnn
