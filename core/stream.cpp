#include <gpucnn/core/stream.h>

namespace gpucnn {

Stream::Stream(Device device) : device_(device) { device.require(); }

Stream::~Stream() = default;

void Stream::synchronize() {}

}  // namespace gpucnn
