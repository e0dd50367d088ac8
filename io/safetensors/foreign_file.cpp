#include <gpucnn/io/safetensors/foreign_file.h>

#include <algorithm>
#include <array>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

using std::string_view_literals::operator""sv;

constexpr const char* kConvertPyTorch =
    "in Python: import torch; from safetensors.torch import save_file; "
    "save_file(torch.load(\"x.pt\", map_location=\"cpu\", weights_only=True), \"x.safetensors\")";
constexpr const char* kConvertOnnx =
    "in Python: import onnx; from safetensors.numpy import save_file; "
    "save_file({t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(\"x.onnx\").graph.initializer}, \"x.safetensors\")";

struct Kind {
  std::string_view begin;
  const char* name;
  const char* advice;
};

/// PKWARE's APPNOTE for zip, Python's pickletools for protocols 2 to 5, RFC 1952 for gzip, the HDF5 and NumPy format
/// specifications.
constexpr std::array kKinds{
    Kind{"PK\x03\x04"sv, "a zip archive, as torch.save writes", kConvertPyTorch},
    Kind{"\x80\x02"sv, "a Python pickle, as old versions of torch.save write", kConvertPyTorch},
    Kind{"\x80\x03"sv, "a Python pickle", kConvertPyTorch},
    Kind{"\x80\x04"sv, "a Python pickle", kConvertPyTorch},
    Kind{"\x80\x05"sv, "a Python pickle", kConvertPyTorch},
    Kind{"version https://git-lfs"sv, "a pointer of Git LFS in place of the file", "`git lfs pull` fetches it"},
    Kind{"\x1F\x8B"sv, "gzip data", "gunzip unpacks it"},
    Kind{"\x89HDF\r\n\x1A\n"sv, "an HDF5 file, as Keras writes", "write its weights by safetensors.numpy.save_file there"},
    Kind{"\x93NUMPY"sv, "an array of NumPy",
         "in Python: import numpy; from safetensors.numpy import save_file; save_file({\"x\": numpy.load(\"x.npy\")}, "
         "\"x.safetensors\")"},
    Kind{"{"sv, "a text in JSON", "the name of an index of shards ends in .index.json"},
};

bool is_web_page(std::string_view text) {
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(" \t\r\n\xEF\xBB\xBF")));
  const auto begins_with = [text](std::string_view wanted) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return text.size() >= wanted.size() && std::ranges::equal(text.substr(0, wanted.size()), wanted, {}, lower);
  };
  return begins_with("<!doctype") || begins_with("<html") || begins_with("<?xml");
}

/// A ModelProto in protobuf's wire format: its ir_version, then producer_name, producer_version, graph or opset_import.
bool is_onnx(std::string_view bytes) {
  constexpr char kIrVersion = 0x08, kMaxVersion = 32;
  return bytes.size() > 2 && bytes[0] == kIrVersion && bytes[1] > 0 && bytes[1] <= kMaxVersion &&
         "\x12\x1A\x3A\x42"sv.find(bytes[2]) != std::string_view::npos;
}

}  // namespace

std::string foreign_file(std::string_view beginning) {
  if (is_web_page(beginning)) return "a web page, which some server sent in place of the file; download the file itself";
  if (is_onnx(beginning)) return formatted("an ONNX model; {}", kConvertOnnx);
  const auto* kind = std::ranges::find_if(kKinds, [&](const Kind& known) { return beginning.starts_with(known.begin); });
  return kind == kKinds.end() ? "" : formatted("{}; {}", kind->name, kind->advice);
}

}  // namespace gpucnn
