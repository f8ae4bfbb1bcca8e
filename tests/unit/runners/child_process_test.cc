#include "tasktracker/runners/child_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <sstream>

#include "unit/runners/support.h"

namespace lts::runners {
namespace {

using testing::HasSubstr;

std::string ReadAll(const UniqueFd& fd) {
  std::string all;
  char block[4096];
  for (ssize_t got = 0; (got = read(fd.get(), block, sizeof block)) > 0;) {
    all.append(block, static_cast<std::size_t>(got));
  }
  return all;
}

// Starts the program with its output in a pipe, waits for its end, returns what it wrote.
std::string OutputOf(const std::string& program, std::vector<std::string> args,
                     std::vector<std::string> env = {}) {
  auto out = MakePipe();
  auto in = MakeInput("");
  EXPECT_TRUE(out.ok() && in.ok());
  ChildPlan plan;
  plan.program = std::filesystem::canonical(program).string();
  plan.args = std::move(args);
  plan.args.insert(plan.args.begin(), plan.program);
  plan.env = std::move(env);
  plan.stdin_fd = in->get();
  plan.stdout_fd = out->write.get();
  plan.stderr_fd = out->write.get();
  const auto pid = Spawn(plan);
  EXPECT_TRUE(pid.ok()) << pid.status().ToString();
  out->write.Reset();
  std::string text = ReadAll(out->read);
  EXPECT_EQ(waitpid(*pid, nullptr, 0), *pid);
  return text;
}

TEST(Spawn, TheChildInheritsNoDescriptorButTheStandardOnes) {
  const UniqueFd careless(open("/dev/zero", O_RDONLY));  // as a library without O_CLOEXEC opens it
  ASSERT_TRUE(careless.valid());
  // The fourth is the folder that ls itself reads.
  EXPECT_EQ(OutputOf("/bin/ls", {"/proc/self/fd"}), "0\n1\n2\n3\n");
}

TEST(Spawn, TheChildLeadsASessionAndAGroup) {
  std::istringstream stat(OutputOf("/bin/cat", {"/proc/self/stat"}));
  std::string pid, name, state, parent, group, session;
  stat >> pid >> name >> state >> parent >> group >> session;
  EXPECT_EQ(group, pid);
  EXPECT_EQ(session, pid);
}

TEST(Spawn, TheChildHasNoSignalBlockedOrIgnored) {
  sigset_t block;
  sigset_t before;
  sigfillset(&block);
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &block, &before), 0);
  const auto pipe_before = std::signal(SIGPIPE, SIG_IGN);
  const std::string status = OutputOf("/bin/cat", {"/proc/self/status"});
  std::signal(SIGPIPE, pipe_before);
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, &before, &after);
  EXPECT_THAT(status, HasSubstr("SigBlk:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("SigIgn:\t0000000000000000\n"));
  EXPECT_EQ(sigismember(&after, SIGTERM), 1);  // the caller's own mask is put back
}

TEST(Spawn, SaysWhyAProgramCannotBeExecuted) {
  TempFolder folder;
  const std::string no_program = folder.Write("x", "no program");
  auto in = MakeInput("");
  ASSERT_TRUE(in.ok());
  ChildPlan plan;
  plan.program = no_program;
  plan.args = {no_program};
  plan.stdin_fd = plan.stdout_fd = plan.stderr_fd = in->get();
  const auto refused = Spawn(plan);
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("Permission denied"));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);  // no child is left behind
}

TEST(MakeInput, IsReadFromItsBeginning) {
  const std::string bytes(200'000, 'x');
  auto in = MakeInput(bytes);
  ASSERT_TRUE(in.ok());
  EXPECT_EQ(ReadAll(*in), bytes);
  EXPECT_TRUE(fcntl(in->get(), F_GETFD) & FD_CLOEXEC);
}

}  // namespace
}  // namespace lts::runners
