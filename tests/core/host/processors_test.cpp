#include <gpucnn/core/host/processors.h>

#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

TEST(AffinityProcessors, AreThoseOfTheCallingThread) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  EXPECT_EQ(affinity_processors(), CPU_COUNT(&all));
  std::thread([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(affinity_processors(), 1);
  }).join();
}

/// A root folder with the files of a process in control groups.
class QuotaProcessors : public ::testing::Test {
 protected:
  QuotaProcessors() : root_(std::filesystem::temp_directory_path() / ("gpucnn_quota_" + std::to_string(getpid()))) {
    std::filesystem::remove_all(root_);
  }
  ~QuotaProcessors() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void describe(const std::string& groups, const std::string& mounts) {
    write("proc/self/cgroup", groups);
    write("proc/self/mountinfo", "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" + mounts);
  }
  int quota() const { return quota_processors(root_.string()); }

 private:
  std::filesystem::path root_;
};

constexpr const char* kSecond = "30 21 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kFirst =
    "31 21 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:5 - cgroup cgroup rw,memory\n"
    "32 21 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:6 master:1 - cgroup cgroup rw,cpu,cpuacct\n";

TEST_F(QuotaProcessors, AreNoneWithoutFilesOrLimits) {
  EXPECT_EQ(quota(), 0);
  describe("0::/job\n", kSecond);
  EXPECT_EQ(quota(), 0);
  write("sys/fs/cgroup/job/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(QuotaProcessors, AreRoundedUpInVersionTwo) {
  describe("0::/job\n", kSecond);
  write("sys/fs/cgroup/job/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 2);
  write("sys/fs/cgroup/job/cpu.max", "20000 100000\n");
  EXPECT_EQ(quota(), 1);
  write("sys/fs/cgroup/job/cpu.max", "300000 100000\n");
  EXPECT_EQ(quota(), 3);
}

TEST_F(QuotaProcessors, AreTheLeastOfAllGroupsAbove) {
  describe("0::/outer/middle/inner\n", kSecond);
  write("sys/fs/cgroup/outer/middle/inner/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/outer/middle/cpu.max", "800000 100000\n");
  write("sys/fs/cgroup/outer/cpu.max", "200000 50000\n");
  EXPECT_EQ(quota(), 4);
  write("sys/fs/cgroup/cpu.max", "100000 50000\n");
  EXPECT_EQ(quota(), 2);
}

TEST_F(QuotaProcessors, AreThoseOfTheFilesOfVersionOne) {
  describe("5:memory:/big\n4:cpu,cpuacct:/job\n", kFirst);
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 0);
  write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 3);
}

TEST_F(QuotaProcessors, AreTheLeastOfBothVersionsWhereBothAreMounted) {
  describe("4:cpu,cpuacct:/job\n0::/job\n", std::string(kFirst) + "33 21 0:41 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "500000\n");
  write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 5);
  write("sys/fs/cgroup/unified/job/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota(), 2);
}

TEST_F(QuotaProcessors, AreThoseOfTheMountedPartOfTheTreeInAContainer) {
  describe("4:cpu:/docker/abc/job\n", "32 21 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 4);
  write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "100000\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 1);
}

TEST_F(QuotaProcessors, AreThoseOfTheMountWhereTheGroupIsNotSeen) {
  for (const char* group : {"0::/docker/abc\n", "0::/../elsewhere\n"}) {
    describe(group, kSecond);
    write("sys/fs/cgroup/cpu.max", "200000 100000\n");
    EXPECT_EQ(quota(), 2) << group;
  }
}

TEST_F(QuotaProcessors, AreFoundBehindASpaceInTheMountsPath) {
  describe("0::/job\n", "30 21 0:26 / /control\\040groups rw - cgroup2 cgroup2 rw\n");
  write("control groups/job/cpu.max", "100000 100000\n");
  EXPECT_EQ(quota(), 1);
}

TEST_F(QuotaProcessors, AreNoneInFilesThatMakeNoSense) {
  describe("no colons\n:\n0::/job\n", "- \n30 21\n30 21 0:26 / /sys/fs/cgroup rw - \n" + std::string(kSecond));
  for (const char* text : {"", "100000", "0 0\n", "100000 0\n", "-5 100000\n", "many of 100000\n"}) {
    write("sys/fs/cgroup/job/cpu.max", text);
    EXPECT_EQ(quota(), 0) << text;
  }
  write("sys/fs/cgroup/job/cpu.max", "1e300 1\n");
  EXPECT_GT(quota(), 1024);
}

}  // namespace
}  // namespace gpucnn
