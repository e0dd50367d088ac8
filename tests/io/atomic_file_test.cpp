#include <gpucnn/io/atomic_file.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/io/safetensors.h>
#include <io/temporary_folder.h>

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::read_bytes;
using testing::TemporaryFolder;
using ::testing::UnorderedElementsAre;
using testing::write_bytes;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// What saving a small file at `path` is refused with; empty if it is not.
std::string refusal(const std::filesystem::path& path) {
  try {
    StateDict state;
    state.add("weight", Tensor::zeros({1000}));
    save_safetensors(path, state);
  } catch (const OutputError& error) {
    EXPECT_EQ(error.file(), path.string());
    return error.what();
  }
  return "";
}

/// While one lives, files of this process cannot grow beyond `bytes`: writing fails as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

/// While one lives, a test that runs as root has no more rights than anybody.
class Unprivileged {
 public:
  Unprivileged() : root_(geteuid() == 0) {
    constexpr uid_t kNobody = 65534;
    if (root_ && seteuid(kNobody) != 0) ADD_FAILURE() << "cannot give up root's rights";
  }
  ~Unprivileged() {
    if (root_ && seteuid(0) != 0) ADD_FAILURE() << "cannot take back root's rights";
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;

 private:
  bool root_;
};

TEST(AtomicFile, AppearsOnlyWhenItIsWhole) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", "old");
  AtomicFile file(folder / "x");
  file.write(bytes_of("new "));
  file.write(bytes_of("text"));
  EXPECT_EQ(read_bytes(folder / "x"), "old");
  file.commit();
  EXPECT_EQ(read_bytes(folder / "x"), "new text");
  EXPECT_THAT(folder.list(), ElementsAre("x"));
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", "old");
  { AtomicFile(folder / "x").write(bytes_of("new")); }
  EXPECT_EQ(read_bytes(folder / "x"), "old");
  EXPECT_THAT(folder.list(), ElementsAre("x"));
}

TEST(AtomicFile, FollowsASymbolicLink) {
  const TemporaryFolder folder;
  write_bytes(folder / "run-1", "old");
  std::filesystem::create_symlink("run-1", folder / "latest");
  AtomicFile file(folder / "latest");
  file.write(bytes_of("new"));
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "latest"));
  EXPECT_EQ(read_bytes(folder / "run-1"), "new");
}

TEST(AtomicFile, HasTheRightsThatTheUmaskGives) {
  const TemporaryFolder folder;
  const mode_t before = umask(027);
  AtomicFile(folder / "x").commit();
  umask(before);
  EXPECT_EQ(static_cast<unsigned>(std::filesystem::status(folder / "x").permissions()), 0640U);
}

TEST(AtomicFile, KeepsTheRightsOfTheFileThatIsThere) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", "old");
  for (const auto rights : {std::filesystem::perms(0600), std::filesystem::perms(0640), std::filesystem::perms(0666)}) {
    std::filesystem::permissions(folder / "x", rights);
    AtomicFile(folder / "x").commit();
    EXPECT_EQ(std::filesystem::status(folder / "x").permissions(), rights);
  }
}

TEST(AtomicFile, RemovesWhatAKilledProcessLeft) {
  const TemporaryFolder folder;
  write_bytes(folder / ".gpucnn-1-0.tmp", "half");
  write_bytes(folder / ".gpucnn-2-7.tmp", "");
  write_bytes(folder / "gpucnn-1-0.tmp", "not ours");
  std::filesystem::create_directory(folder / ".gpucnn-3-0.tmp");
  AtomicFile living(folder / "x");
  living.write("whole");
  EXPECT_EQ(folder.list().size(), 3U) << "it removes them as it begins";
  AtomicFile(folder / "y").commit();
  EXPECT_EQ(folder.list().size(), 4U) << "the living file stays";
  living.commit();
  EXPECT_EQ(read_bytes(folder / "x"), "whole");
  EXPECT_THAT(folder.list(), UnorderedElementsAre("x", "y", "gpucnn-1-0.tmp", ".gpucnn-3-0.tmp"));
}

TEST(AtomicFile, ServesManyThreadsInOneFolder) {
  const TemporaryFolder folder;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&folder, thread] {
      for (int i = 0; i < 50; ++i) {
        AtomicFile file(folder / std::to_string(thread));
        file.write(std::to_string(i));
        file.commit();
      }
    });
  }
  threads.clear();
  for (int thread = 0; thread < 4; ++thread) EXPECT_EQ(read_bytes(folder / std::to_string(thread)), "49");
  EXPECT_EQ(folder.list().size(), 4U);
}

TEST(AtomicFile, RefusesALinkToNothing) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("gone", folder / "link");
  EXPECT_THAT(refusal(folder / "link"), HasSubstr("it is a symbolic link to a file that is not there"));
  EXPECT_THAT(folder.list(), ElementsAre("link"));
}

TEST(AtomicFile, RefusesAPipe) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(folder / "pipe"), HasSubstr("it is a device or a pipe, not a file"));
}

TEST(AtomicFile, WritesInTheWorkingFolderWithoutNamingIt) {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  AtomicFile("x").commit();
  std::filesystem::current_path(before);
  EXPECT_THAT(folder.list(), ElementsAre("x"));
}

TEST(SaveSafetensors, SaysThatTheDiskIsFullAndKeepsTheOldFile) {
  const TemporaryFolder folder;
  write_bytes(folder / "x", "old");
  {
    const FileSizeLimit limit(1000);
    EXPECT_THAT(refusal(folder / "x"), HasSubstr("cannot be written: File too large"));
  }
  EXPECT_EQ(read_bytes(folder / "x"), "old");
  EXPECT_THAT(folder.list(), ElementsAre("x"));
}

TEST(SaveSafetensors, NamesAMissingFolder) {
  const TemporaryFolder folder;
  EXPECT_THAT(refusal(folder / "no" / "x"), HasSubstr("there is no folder " + (folder / "no").string()));
}

TEST(SaveSafetensors, RefusesAFileAsFolder) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "");
  EXPECT_THAT(refusal(folder / "file" / "x"), HasSubstr("Not a directory"));
}

TEST(SaveSafetensors, RefusesADirectory) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "x");
  EXPECT_THAT(refusal(folder / "x"), HasSubstr("it is a directory"));
  EXPECT_THAT(refusal(folder / "y/"), HasSubstr("it is a directory"));
  EXPECT_THAT(folder.list(), ElementsAre("x"));
}

TEST(SaveSafetensors, DoesNotReplaceADevice) {
  EXPECT_THAT(refusal("/dev/null"), HasSubstr("it is a device or a pipe, not a file"));
  EXPECT_THAT(refusal("/dev/full"), HasSubstr("it is a device or a pipe, not a file"));
}

TEST(SaveSafetensors, RefusesAnEmptyName) { EXPECT_THAT(refusal(""), HasSubstr("its name is empty")); }

TEST(SaveSafetensors, RefusesAFolderWithoutPermission) {
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  {
    const Unprivileged user;
    EXPECT_THAT(refusal(folder / "x"), HasSubstr("Permission denied"));
  }
  EXPECT_THAT(folder.list(), IsEmpty());
}

}  // namespace
}  // namespace gpucnn
