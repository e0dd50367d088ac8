#include "common/terminal/waiting_line.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace std::chrono_literals;
using testing::MatchesRegex;

namespace {

/// A terminal in place of standard output.
class PretendedTerminal {
 public:
  PretendedTerminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)), before_(dup(STDOUT_FILENO)) {
    grantpt(master_);
    unlockpt(master_);
    const int slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
    dup2(slave, STDOUT_FILENO);
    close(slave);
    fcntl(master_, F_SETFL, O_NONBLOCK);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
  }
  ~PretendedTerminal() {
    dup2(before_, STDOUT_FILENO);
    close(before_);
    close(master_);
  }
  PretendedTerminal(const PretendedTerminal&) = delete;
  PretendedTerminal& operator=(const PretendedTerminal&) = delete;

  /// What has been printed on it. The system may pass it on a little later.
  std::string text() const {
    constexpr int kPatience = 200;  // milliseconds
    std::string text;
    std::array<char, 4096> part{};
    for (pollfd ready{.fd = master_, .events = POLLIN, .revents = 0}; poll(&ready, 1, kPatience) > 0;) {
      const ssize_t count = read(master_, part.data(), part.size());
      if (count <= 0) break;
      text.append(part.data(), static_cast<std::size_t>(count));
    }
    return text;
  }

 private:
  int master_, before_;
};

TEST(WaitingLine, ShowsWorkThatTakesMoreThanASecond) {
  const PretendedTerminal terminal;
  {
    const WaitingLine line("reading the images");
    std::this_thread::sleep_for(1200ms);
  }
  EXPECT_THAT(terminal.text(), MatchesRegex("(\r\x1b\\[Kreading the images: [1-9] s)+\r\x1b\\[K"));
}

TEST(WaitingLine, CountsWhatIsDone) {
  const PretendedTerminal terminal;
  {
    WaitingLine line("reading the images");
    line.count(200, 1000);
    std::this_thread::sleep_for(1200ms);
  }
  EXPECT_THAT(terminal.text(), MatchesRegex("(\r\x1b\\[Kreading the images: 200 of 1000, [1-9] s)+\r\x1b\\[K"));
}

TEST(WaitingLine, KeepsQuietAboutShortWork) {
  const PretendedTerminal terminal;
  { const WaitingLine line("reading the images"); }
  EXPECT_EQ(terminal.text(), "");
}

TEST(WaitingLine, PrintsNothingWhereItIsNotWanted) {
  const PretendedTerminal terminal;
  setenv("NO_COLOR", "1", 1);
  {
    const WaitingLine line("reading"), quiet("reading", true);
    std::this_thread::sleep_for(1100ms);
  }
  unsetenv("NO_COLOR");
  EXPECT_EQ(terminal.text(), "");
}

}  // namespace
