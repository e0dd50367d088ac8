#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/gpucnn.h>

#include "options.h"

/// The content of config.json: the options of a run, and what its data and device are.
std::string config_of(const Options& options, const gpucnn::OpenedDataset& data, gpucnn::Device device);

/// The options of a run and what came of them, as a report shows them.
std::vector<std::pair<std::string, std::string>> rows_of(const Options& options, const gpucnn::OpenedDataset& data,
                                                         gpucnn::Device device);

/// What weights need to stand alone. Values are texts: lists are JSON. Throws `DataError` for class names that are not UTF-8.
gpucnn::Metadata metadata_of(const Options& options, const gpucnn::OpenedDataset& data);

/// The options of a run that goes on: those in its config.json, but for those of a command line that may change on the way. Throws
/// `CheckpointError` for a file that is damaged, lacks a field or has an unknown one, and where the command line wants another run.
Options resumed_options(const std::vector<std::string>& words, const std::filesystem::path& config);

/// What makes a run the one it is, as JSON: the options that may not change on the way, and its data. States carry it.
std::string identity_of(const Options& options, const gpucnn::OpenedDataset& data);

/// Throws `CheckpointError` unless a run has the identity `before`, which its state `file` tells.
void require_same_run(const std::string& identity, const std::string& before, const std::filesystem::path& file);
