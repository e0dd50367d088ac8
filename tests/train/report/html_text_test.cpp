#include <gpucnn/train/report/html_text.h>

#include <gtest/gtest.h>

namespace gpucnn::report {
namespace {

TEST(HtmlText, MakesNoTagsAttributesOrEntities) {
  EXPECT_EQ(html_text("<script>alert(\"1\" && '2')</script>"),
            "&lt;script&gt;alert(&quot;1&quot; &amp;&amp; &#39;2&#39;)&lt;/script&gt;");
  EXPECT_EQ(html_text("Katze, 猫"), "Katze, 猫");
}

TEST(HtmlText, ShowsControlCharactersAndBytesThatAreNoUtf8) { EXPECT_EQ(html_text("a\x1b[31mb\xff\n"), "a\\x1b[31mb\\xff\\x0a"); }

TEST(Base64, IsThatOfTheStandard) {  // RFC 4648, section 10
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foob"), "Zm9vYg==");
  EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

}  // namespace
}  // namespace gpucnn::report
