#pragma once

#include <filesystem>
#include <string>

/// All of a file that a run has written. Throws `CheckpointError` that says why it cannot be read; a pipe or a device is not waited
/// for.
std::string read_text(const std::filesystem::path& file);

/// Replaces a file whole, or leaves it: see gpucnn::AtomicFile.
void write_text(const std::filesystem::path& file, const std::string& text);
