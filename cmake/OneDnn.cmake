# Sets GPUCNN_WITH_ONEDNN to true or false, as C++ spells it, and GPUCNN_ONEDNN_LIBRARIES to what is linked for it: also OpenMP, by which
# oneDNN is told to use one thread.
set(GPUCNN_WITH_ONEDNN false)
set(GPUCNN_ONEDNN_LIBRARIES)
if(GPUCNN_ONEDNN)
  find_package(oneDNN 2.6 REQUIRED)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  set(GPUCNN_WITH_ONEDNN true)
  set(GPUCNN_ONEDNN_LIBRARIES oneDNN::oneDNN OpenMP::OpenMP_CXX)
endif()
