#include <gpucnn/core/error.h>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

TEST(OutOfMemory, SaysWhatWasAskedAndWhatThereWas) {
  const OutOfMemory error("cpu", 3 << 20, 1 << 20, 1 << 19);
  EXPECT_STREQ(error.what(),
               "out of memory on cpu: asked for 3.0 MiB, 1.0 MiB free, 0.5 MiB held by this process; use a smaller batch");
  EXPECT_EQ(error.asked(), 3U << 20);
  EXPECT_EQ(error.free(), 1U << 20);
  EXPECT_EQ(error.held(), 1U << 19);
}

TEST(DataError, SaysWhereAFileDepartsFromWhatWasExpected) {
  const DataError error("a.bin", 3073, "a label from 0 to 9", "77");
  EXPECT_STREQ(error.what(), "a.bin: at byte 3073: expected a label from 0 to 9, found 77");
  EXPECT_EQ(error.file(), "a.bin");
  EXPECT_EQ(error.offset(), 3073U);
  EXPECT_EQ(error.expected(), "a label from 0 to 9");
  EXPECT_EQ(error.found(), "77");
}

TEST(OutputError, NamesTheFileAndTheReason) {
  const OutputError error("runs/last.safetensors", "No space left on device");
  EXPECT_STREQ(error.what(), "runs/last.safetensors: cannot be written: No space left on device");
  EXPECT_EQ(error.file(), "runs/last.safetensors");
}

TEST(Error, CatchesEveryOneOfTheFamilyAndIsARuntimeError) {
  EXPECT_THROW(throw DeviceError("no driver"), Error);
  EXPECT_THROW(throw OutOfMemory("cpu", 1, 1, 1), Error);
  EXPECT_THROW(throw DataError("a", 0, "b", "c"), Error);
  EXPECT_THROW(throw OutputError("a", "b"), Error);
  EXPECT_THROW(throw Error("a"), std::runtime_error);
}

}  // namespace
}  // namespace gpucnn
