#include <hwy/targets.h>

#include "everywhere.h"

// Which were compiled in depends on a definition that the library's files have, and this one, and no other of the tests.
namespace gpucnn {

std::vector<std::int64_t> ForcedInstructionSet::all() { return hwy::SupportedAndGeneratedTargets(); }

}  // namespace gpucnn
