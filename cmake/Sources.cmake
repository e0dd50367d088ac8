# Every file of the library, by folder and name. A header that is not listed as public cannot be included by users.
set(GPUCNN_PUBLIC_HEADERS
    gpucnn.h
    core/allocator.h
    core/device.h
    core/dtype.h
    core/error.h
    core/export.h
    core/parameter.h
    core/random.h
    core/shape.h
    core/state_dict.h
    core/stream.h
    core/tensor.h
    core/threads.h
    kernels/adam.h
    kernels/argmax.h
    kernels/dropout.h
    kernels/flatten.h
    kernels/image_batch.h
    kernels/labels.h
    kernels/max_pool2d.h
    kernels/relu.h
    kernels/sgd.h
    kernels/size2.h
    kernels/softmax.h
    kernels/softmax_cross_entropy.h)

set(GPUCNN_PRIVATE_HEADERS
    core/backend.h
    core/host_memory.h
    core/layout.h
    core/parallel.h
    kernels/check.h
    kernels/dispatch.h)

set(GPUCNN_SOURCES
    core/allocator.cpp
    core/backend_cpu.cpp
    core/device.cpp
    core/dtype.cpp
    core/error.cpp
    core/host_memory.cpp
    core/layout.cpp
    core/parameter.cpp
    core/shape.cpp
    core/state_dict.cpp
    core/stream.cpp
    core/tensor.cpp
    core/threads.cpp
    kernels/relu.cpp)

# Sources that Highway compiles once per instruction set.
set(GPUCNN_HIGHWAY_SOURCES
    kernels/relu_cpu.cpp)
