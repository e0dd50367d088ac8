#include <gpucnn/io/import_onnx.h>

#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/io/onnx/import/graph_reader.h>
#include <gpucnn/io/onnx/import/messages.h>
#include <gpucnn/io/onnx/import/network_of.h>

namespace gpucnn {

ImportedOnnx import_onnx(const std::filesystem::path& path) {
  const FloatEnvironment standard;
  const InputFile input(path);
  if (input.size() > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
    input.fail(0, "an ONNX file of at most 2 GiB", formatted("{} bytes", input.size()));
  }
  std::string bytes(input.size(), '\0');
  input.read(0, std::as_writable_bytes(std::span(bytes)));
  const protobuf::WireFile file{input.name(), bytes};
  onnx::ModelMessage message = onnx::read_model(file);
  const ModelGraph graph = onnx::GraphReader(file, message).read();
  try {
    return {onnx::network_of(graph), graph.values[0].with(0, 1), std::move(message.metadata)};
  } catch (const std::invalid_argument& error) {
    throw DataError(file.name, 0, "a network of layers and branches", error.what());
  }
}

}  // namespace gpucnn
