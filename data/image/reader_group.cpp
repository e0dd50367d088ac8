#include <gpucnn/data/image/reader_group.h>

namespace gpucnn {

ReaderGroup::~ReaderGroup() = default;

}  // namespace gpucnn
