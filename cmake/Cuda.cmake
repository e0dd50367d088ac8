# Decides whether this build has CUDA code: sets GPUCNN_WITH_CUDA to true or false, as C++ spells it.
set(GPUCNN_WITH_CUDA false)
if(NOT GPUCNN_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "GPUCNN_CUDA is '${GPUCNN_CUDA}'; it must be AUTO, ON or OFF")
elseif(GPUCNN_CUDA STREQUAL "ON")
  message(FATAL_ERROR "GPUCNN_CUDA=ON: libgpucnn ${PROJECT_VERSION} has no CUDA kernels yet; use AUTO or OFF to build for the CPU")
elseif(GPUCNN_CUDA STREQUAL "AUTO")
  message(STATUS "gpucnn: building for the CPU; version ${PROJECT_VERSION} has no CUDA kernels yet")
endif()
