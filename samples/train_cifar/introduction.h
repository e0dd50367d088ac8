#pragma once

#include <string>
#include <vector>

#include "options.h"
#include "setup.h"

/// What is said before the work begins, in lines: the model, the images, what was left out, and the device.
std::vector<std::string> introduction(const Options& options, const Setup& setup);

/// What a report says besides its numbers; `judged` is by which images.
gpucnn::RunReportTexts report_texts(const Options& options, const Setup& setup, const std::string& judged);
