#pragma once

#include <gpucnn/distributed/distributed.h>

/// The run that this test program joined: of as many ranks as mpirun started.
const gpucnn::Distributed& world();
