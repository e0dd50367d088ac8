#pragma once

/// The field numbers of ONNX's messages, as far as they are read or written: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
namespace gpucnn::onnx {

namespace model {
enum { ir_version = 1, producer_name = 2, graph = 7, opset_import = 8, metadata_props = 14 };
}
namespace opset {
enum { domain = 1, version = 2 };
}
namespace entry {  // of metadata_props and external_data
enum { key = 1, value = 2 };
}
namespace graph {
enum { node = 1, name = 2, initializer = 5, input = 11, output = 12, sparse_initializer = 15 };
}
namespace node {
enum { input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7 };
}
namespace attribute {
enum { name = 1, f = 2, i = 3, s = 4, t = 5, ints = 8, type = 20 };
enum Type { is_float = 1, is_int = 2, is_string = 3, is_tensor = 4, is_ints = 7 };
}  // namespace attribute
namespace tensor {
enum { dims = 1, data_type = 2, float_data = 4, int32_data = 5, int64_data = 7, name = 8, raw_data = 9 };
enum { external_data = 13, data_location = 14 };
enum Type { is_float = 1, is_int32 = 6, is_int64 = 7, is_bool = 9 };
}  // namespace tensor
namespace value_info {
enum { name = 1, type = 2 };
}
namespace type {
enum { tensor_type = 1 };
}
namespace tensor_type {
enum { elem_type = 1, shape = 2 };
}
namespace tensor_shape {
enum { dim = 1 };
}
namespace dim {
enum { value = 1, param = 2 };
}

}  // namespace gpucnn::onnx
