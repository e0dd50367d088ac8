#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/gpucnn.h>

#include "data.h"
#include "options.h"

/// The content of config.json: the options of a run, and what its data and device are.
std::string config_of(const Options& options, const RunData& data, gpucnn::Device device);

/// The options of a run and what came of them, as a report shows them.
std::vector<std::pair<std::string, std::string>> rows_of(const Options& options, const RunData& data, gpucnn::Device device);

/// What weights need to stand alone. Values are texts: lists are JSON. Throws `DataError` for class names that are not UTF-8.
gpucnn::Metadata metadata_of(const Options& options, const RunData& data);

/// Words of a command line behind those that its --config stands for, but for options that are `given`. Threads are left out that
/// are of a run with another number of processes than `world`. Throws `UsageError` for a file that cannot be read, is not JSON, has
/// an unknown field, or has a value that no option has.
std::vector<std::string> with_config(const std::vector<std::string>& words, const Options& given, int world);

/// The command line of a run that goes on: the options in its config.json, but for those of `words` that may change on the way, and
/// for the threads of a run that had another number of processes than `world`. Throws `CheckpointError` for a file that is damaged,
/// lacks a field or has an unknown one, and where `words` want another run.
std::vector<std::string> resumed_words(const std::vector<std::string>& words, const std::filesystem::path& config, int world);

/// What makes a run the one it is, as JSON: the options that may not change on the way, and its data. States carry it.
std::string identity_of(const Options& options, const RunData& data);

/// Throws `CheckpointError` unless a run has the identity `before`, which its state `file` tells.
void require_same_run(const std::string& identity, const std::string& before, const std::filesystem::path& file);
