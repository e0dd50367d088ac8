#include "words.h"

#include <map>
#include <set>

#include "common/exit_code.h"

using namespace gpucnn;

namespace {

/// As one text, and back: no word has a NUL.
std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text.append(word).push_back('\0');
  return text;
}

std::vector<std::string> apart(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t first = 0; first < text.size(); first = text.find('\0', first) + 1) words.emplace_back(text.c_str() + first);
  return words;
}

/// By the names of options, whose values may be words of their own.
std::map<std::string, std::string> values_of(const std::vector<std::string>& words) {
  std::map<std::string, std::string> values;
  std::string name = "command line";
  for (std::string word : words) {
    if (word.starts_with("--")) {
      const std::size_t equals = word.find('=');
      name = "option " + word.substr(0, equals);
      values[name];
      if (equals == std::string::npos) continue;
      word.erase(0, equals + 1);
    }
    std::string& value = values[name];
    value += (value.empty() ? "" : " ") + word;
  }
  return values;
}

std::string shown(const std::map<std::string, std::string>& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) return "not given";
  return found->second.empty() ? "given" : found->second;
}

}  // namespace

std::vector<std::string> words_of_main(const Distributed& ranks, const std::vector<std::string>& words) {
  return apart(ranks.broadcast(joined(words)));
}

void require_same_words(const Distributed& ranks, const std::vector<std::string>& words) try {
  std::set<std::string> names;
  for (const std::string& text : ranks.all_gather(joined(words))) {
    for (const auto& [name, value] : values_of(apart(text))) names.insert(name);
  }
  const std::map<std::string, std::string> own = values_of(words);
  for (const std::string& name : names) ranks.require_same(name, shown(own, name));
} catch (const Error& error) {
  throw UsageError(error.what());
}
