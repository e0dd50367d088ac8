#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

namespace gpucnn {

/// A folder of this process's own, empty at first and gone at the end.
class TestFolder {
 public:
  explicit TestFolder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / ("gpucnn_" + name + "_" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// `read` fails at this byte of this file, and says these things.
inline void expect_damage(const std::function<void()>& read, const std::filesystem::path& file, std::uint64_t offset,
                          const std::string& expected, const std::string& found) {
  try {
    read();
    ADD_FAILURE() << file << " was taken";
  } catch (const DataError& error) {
    EXPECT_EQ(error.file(), file) << error.what();
    EXPECT_EQ(error.offset(), offset) << error.what();
    EXPECT_THAT(error.expected(), ::testing::HasSubstr(expected)) << error.what();
    EXPECT_THAT(error.found(), ::testing::HasSubstr(found)) << error.what();
  }
}

}  // namespace gpucnn
