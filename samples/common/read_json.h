#pragma once

#include <string>

#include <nlohmann/json.hpp>

/// What JSON of a file says; `is_discarded()` for what is none, and for lists in lists that are deeper than any program writes,
/// which would take a stack without end.
nlohmann::json read_json(const std::string& text);
