#include <gpucnn/core/text/printable.h>

#include <string>

#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

namespace gpucnn {
namespace {

TEST(Printable, LeavesTextAlone) {
  for (const std::string text : {"", "features.0.weight", "a\\b \"c\" 'd' %s {}", "Übung", "猫", "🐈", "naïve ~"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, EscapesControlCharacters) {
  EXPECT_EQ(printable("\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
  EXPECT_EQ(printable("a\nb\rc\td\x7f"), "a\\x0ab\\x0dc\\x09d\\x7f");
  EXPECT_EQ(printable(std::string("\0\x01", 2)), "\\x00\\x01");
}

TEST(Printable, EscapesControlCharactersOfTwoBytes) {
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\u009b31m");
  EXPECT_EQ(printable("\xC2\x80 \xC2\x9F \xC2\xA0"), "\\u0080 \\u009f \xC2\xA0");
}

TEST(Printable, KnowsUtf8) {
  for (const std::string text : {"", "cat", "Übung 猫 🐈", "\x1b"}) EXPECT_TRUE(is_utf8(text)) << text;
  for (const std::string text : {"\xff", "a\xC3", "\xC0\x9B", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) EXPECT_FALSE(is_utf8(text));
}

TEST(Printable, EscapesWhatIsNoUtf8) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\x9b"), "\\x9b");                             // a control character of terminals that know no UTF-8
  EXPECT_EQ(printable("a\xC3"), "a\\xc3");                           // the end amid a character
  EXPECT_EQ(printable("\xC3(\xE2\x82"), "\\xc3(\\xe2\\x82");         // or another character
  EXPECT_EQ(printable("\xC0\x9B"), "\\xc0\\x9b");                    // ESC in more bytes than it needs
  EXPECT_EQ(printable("\xE0\x80\x9B"), "\\xe0\\x80\\x9b");           // in three
  EXPECT_EQ(printable("\xED\xA0\x80"), "\\xed\\xa0\\x80");           // half of a pair of UTF-16
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond Unicode
  EXPECT_EQ(printable("\xF8\x88\x80\x80\x80"), "\\xf8\\x88\\x80\\x80\\x80");
}

TEST(Printable, EscapesWhatTurnsOrHidesText) {
  EXPECT_EQ(printable("a\u202Eb\u2066c\u200Fd\u2028e\uFEFFf"), "a\\u202eb\\u2066c\\u200fd\\u2028e\\ufefff");
  EXPECT_EQ(printable("\U000E0041"), "\\U000e0041");
}

TEST(Printable, CutsLongTextsBetweenCharacters) {
  EXPECT_EQ(printable("123456", 6), "123456");
  EXPECT_EQ(printable("1234567", 6), "123456...");
  EXPECT_EQ(printable("12345é", 6), "12345...");
  EXPECT_EQ(printable("\x1b\x1b", 1), "\\x1b...");
}

TEST(Error, HasOnePrintableLine) {
  const DataError error("a\nb\x1b[2J", 3, "\xff", "x\u202E");
  EXPECT_STREQ(error.what(), "a\\x0ab\\x1b[2J: at byte 3: expected \\xff, found x\\u202e");
  EXPECT_EQ(error.file(), "a\nb\x1b[2J");
  EXPECT_STREQ(OutputError("\x1b", "why\n").what(), "\\x1b: cannot be written: why\\x0a");
  EXPECT_STREQ(DeviceError("\x9b").what(), "\\x9b");
}

}  // namespace
}  // namespace gpucnn
