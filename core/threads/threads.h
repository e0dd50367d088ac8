#pragma once

#include <gpucnn/core/export.h>

/// Every operation computes in the default floating-point environment, on whatever thread: it rounds to nearest, keeps subnormal
/// numbers but where a header says otherwise, and no exception traps. The calling thread's own environment is back when it
/// returns or throws, with the exception flags as they were.
namespace gpucnn {

/// How many CPU threads the library works with, the caller's among them. At first the number of processors that this thread may
/// use: by its affinity or by the quotas of its control groups (versions 1 and 2), whichever is less. Results never depend on it.
GPUCNN_API int num_threads();

/// Sets it for the whole process; threads beyond it end. Throws `std::invalid_argument` unless 1 <= n <= 1024.
GPUCNN_API void set_num_threads(int n);

/// Whether threads may be migrated: at first not, and the library then never sets a thread's affinity.
GPUCNN_API bool core_migration();

/// While it is on, a thread that waits for another one which the system has preempted moves that one to its own core: work goes on
/// where other programs use the same cores. The thread that calls the library may be the one that is moved. For each move its
/// affinity is set for a few microseconds, and then to what it was. What is set meanwhile for all threads stays; what is set for
/// one of the two alone may reach both. For a program that owns its threads.
GPUCNN_API void set_core_migration(bool on);

}  // namespace gpucnn
