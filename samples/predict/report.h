#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "classifier.h"
#include "inputs.h"

/// The lines that are printed of answers. Names are made printable.
class Report {
 public:
  /// `inputs`: all that will be reported, so that columns are wide enough for them.
  Report(const std::vector<std::string>& class_names, std::span<const Input> inputs, bool json);

  /// A line with its end: a row of the table, or a JSON object
  /// `{"file":"a.png","classes":[{"class":"cat","probability":0.97},…]}`, with "error" in place of "classes" where there is no
  /// answer. The table has no row then.
  std::string line(const Input& input, const Answer& answer) const;

 private:
  std::string row(const Input& input, const Answer& answer) const;
  std::string object(const Input& input, const Answer& answer) const;

  const std::vector<std::string>& class_names_;
  std::size_t file_columns_ = 0, class_columns_ = 0;
  bool json_;
};
