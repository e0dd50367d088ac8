#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/layers/containers/child.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn::onnx {

/// A layer, or a container that has been made, and the path that it shall have in the network.
struct Part {
  std::string path;
  std::unique_ptr<Module> module;
  bool has_values = false;  // whether parameters are in it, whose names count
};

/// Gives layers without values a path beside their neighbours, where their own leads elsewhere: "node_relu" between "layer1.conv1"
/// and "layer1.conv2" becomes "layer1.node_relu".
void adopt(std::vector<Part>& parts);

/// Children of a container at the path `outer`, from parts in a row. Those whose paths begin with the same word become a
/// Sequential. `taken`: names that are not free.
std::vector<Child> children_of(std::vector<Part> parts, std::string_view outer, std::set<std::string>& taken, int depth = 0);

/// All of them as one child of a container at `outer`, called by the word that all paths begin with, or `otherwise`. Without a part
/// it is an Identity.
Child child_of(std::vector<Part> parts, std::string_view outer, std::string_view otherwise, std::set<std::string>& taken);

}  // namespace gpucnn::onnx
