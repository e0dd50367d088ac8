#pragma once

namespace gpucnn::protobuf {

/// How the bytes of a field end, in the lowest three bits of its tag: https://protobuf.dev/programming-guides/encoding/#structure
enum WireType : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

}  // namespace gpucnn::protobuf
