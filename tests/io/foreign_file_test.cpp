#include <gpucnn/io/safetensors/foreign_file.h>

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/io/safetensors.h>
#include <io/safetensors_bytes.h>
#include <io/temporary_folder.h>

namespace gpucnn {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryFolder;
using testing::write_bytes;

template <std::size_t N>
std::string text_of(const char (&bytes)[N]) {
  return {bytes, N - 1};
}

/// What reading a file of these bytes is refused with.
std::string refusal_of(const std::string& bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", bytes);
  try {
    load_safetensors(folder / "x");
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.expected() + ", found " + error.found();
  }
  return "was read";
}

TEST(ForeignFile, IsNamedAndSaysHowItsWeightsGetHere) {
  const std::string rest(1000, '\5');
  const std::vector<std::pair<std::string, std::string>> kinds{
      // The beginnings of what PyTorch 2.15 writes by torch.save and torch.onnx.export.
      {text_of("PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
       "a zip archive, as torch.save writes; in Python: import torch;"},
      {text_of("\x80\x02\x8A\nl\xFC\x9C"
               "F\xF9 j\xA8P\x19.\x80\x02M\xE9\x03.\x80\x02}"),
       "a Python pickle, as old versions of torch.save write; in Python: import torch;"},
      {text_of("\x08\t\x12\x07pytorch\x1A\x06"
               "2.15.0:\xCE\x02\n\x89"),
       "an ONNX model; in Python: import onnx;"},
      {text_of("\x08\x0E:\x03\x12\x01gB\x02\x10\x1C"), "an ONNX model; in Python: import onnx;"},
      {text_of("\x80\x04\x95\x1A\0\0\0\0\0\0\0}"), "a Python pickle; in Python"},
      {"<!DOCTYPE html>\n<html>", "a web page"},
      {" \r\n<HTML lang=\"en\">", "a web page"},
      {"\xEF\xBB\xBF<!doctype html>", "a web page"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
       "a pointer of Git LFS in place of the file; `git lfs pull`"},
      {text_of("\x1F\x8B\x08\0\0\0\0\0\0\x03"), "gzip data; gunzip unpacks it"},
      {text_of("\x89HDF\r\n\x1A\n"), "an HDF5 file"},
      {text_of("\x93NUMPY\x01\0v\0{'descr'"), "an array of NumPy"},
      {"{\"metadata\": {}, \"weight_map\": {}}", "a text in JSON; the name of an index of shards ends in .index.json"},
  };
  for (const auto& [beginning, words] : kinds) {
    EXPECT_THAT(refusal_of(beginning + rest), HasSubstr("a safetensors file, found " + words)) << beginning;
    EXPECT_THAT(refusal_of(beginning + std::string(1 << 20, '\0')), HasSubstr("found " + words))
        << "whose length may be a header's";
  }
  EXPECT_THAT(refusal_of("<html>"), HasSubstr("a web page"));
}

// The length of a header is any number, whose bytes may be the mark of another format.
TEST(ForeignFile, ASafetensorsFileThatWasCutShortIsNotTakenForAnother) {
  for (const std::uint64_t length : {0x280U, 0x7BU, 0x80002U, 0x088B1FU, 0x3A0E08U}) {
    EXPECT_THAT(refusal_of(testing::length_bytes(length) + "{\"weight\""),
                HasSubstr("the end of the file after 9: it was cut short"))
        << length;
  }
  EXPECT_THAT(refusal_of(testing::length_bytes(0x280) + "abc"), HasSubstr("a Python pickle"));
}

TEST(ForeignFile, WhatShowsNothingIsNotNamed) {
  EXPECT_EQ(foreign_file(""), "");
  EXPECT_EQ(foreign_file("hello"), "");
  EXPECT_EQ(foreign_file("\x80\x01"), "");
  EXPECT_EQ(foreign_file("\x08\x0E"), "");
  EXPECT_EQ(foreign_file(" "), "");
}

}  // namespace
}  // namespace gpucnn
