#pragma once

#include <string>

namespace gpucnn {

/// What the environment tells of who started this process as one of several.
struct Launcher {
  std::string name;  // empty: nobody
  int ranks = 0;     // how many it started; 0 if it does not say
  bool mpi = true;   // whether it lets them find each other
};

/// mpirun of Open MPI or of MPICH and its kin, or srun, with one of their interfaces or with none.
Launcher launcher();

}  // namespace gpucnn
