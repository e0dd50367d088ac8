#include <gpucnn/core/stream.h>

#include <gpucnn/core/backend.h>

namespace gpucnn {

Stream::Stream(Device device) : device_(device) { device.require(); }

void Stream::synchronize() { backend::synchronize(device_); }

void* Stream::native_handle() const { return backend::native_stream(device_); }

}  // namespace gpucnn
