#include "common/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/properties.h"
#include "support/temp_folder.h"

namespace lts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

// Rows as a daemon declares them: every type, and every attribute.
std::vector<OptionRow> Rows() {
  return {
      {.name = "registryAddress",
       .text = "Where the cluster is found: jobtracker://host:port or zookeeper://host:port,…",
       .default_value = "jobtracker://127.0.0.1:35001"},
      {.name = "listenPort",
       .text = "Port for RPC; 0 takes a free one.",
       .type = OptionType::kInt,
       .default_value = "35001",
       .min = 0,
       .max = 65535},
      {.name = "job.queue",
       .text = "Where jobs are kept.",
       .default_value = "rocksdb",
       .choices = "rocksdb|mysql"},
      {.name = "job.limit",
       .text = "A large number.",
       .type = OptionType::kInt64,
       .default_value = "10000000000",
       .min = 1},
      {.name = "lb.cpuUsedRate.max",
       .text = "CPU in percent beyond which no job is taken.",
       .type = OptionType::kDouble,
       .default_value = "90",
       .min = 0,
       .max = 100},
      {.name = "jdbc.create.db.table",
       .text = "Create tables at the first start.",
       .type = OptionType::kBool,
       .default_value = "true"},
      {.name = "tasktracker.lease",
       .text = "How long a silent TaskTracker keeps its jobs.",
       .type = OptionType::kDurationMs,
       .default_value = "20s",
       .min = 1000,
       .max = 3'600'000,
       .restart = false},
      {.name = "lazy.period",
       .text = "A key of the original that counts seconds.",
       .type = OptionType::kDurationMs,
       .default_value = "3s",
       .bare_unit_ms = 1000},
      {.name = "job.payload.max",
       .text = "Bytes of parameters and payload.",
       .type = OptionType::kBytes,
       .default_value = "64KiB",
       .max = 1 << 20},
      {.name = "runner.exec.allow", .text = "Programs that may be run.", .type = OptionType::kList},
      {.name = "ops.listen", .text = "Pages for operators.", .default_value = "127.0.0.1:0"},
      {.name = "jdbc.password", .text = "Password of the database.", .secret = true},
      {.name = "runner.*", .text = "Settings of a runner."},
      {.name = "workThreads",
       .text = "Jobs at a time.",
       .type = OptionType::kInt,
       .default_value = "64",
       .daemons = Only(Daemon::kTaskTracker)},
  };
}

class OptionsTest : public ::testing::Test {
 protected:
  Result<Options> LoadText(std::string_view text) {
    sources_.file = folder_.Write("x.cfg", text);
    return table_.Load(sources_);
  }
  Options Load(std::string_view text) {
    Result<Options> options = LoadText(text);
    EXPECT_TRUE(options.ok()) << options.status().message();
    return options.ok() ? *std::move(options) : Options();
  }
  // The message without the path of the temporary folder.
  std::string ErrorOf(std::string_view text) {
    const Result<Options> options = LoadText(text);
    EXPECT_FALSE(options.ok());
    std::string message = options.status().message();
    const std::string path = folder_.path() + "/";
    for (std::size_t at; (at = message.find(path)) != std::string::npos;) {
      message.erase(at, path.size());
    }
    return message;
  }

  const OptionTable table_{Daemon::kJobTracker, Rows()};
  const testing::TempFolder folder_;
  OptionSources sources_;
};

TEST_F(OptionsTest, DefaultsHoldWhenNothingIsGiven) {
  const Options options = Load("");
  EXPECT_EQ(options.String("registryAddress"), "jobtracker://127.0.0.1:35001");
  EXPECT_EQ(options.Int("listenPort"), 35001);
  EXPECT_EQ(options.Int64("listenPort"), 35001);
  EXPECT_EQ(options.Int64("job.limit"), 10'000'000'000);
  EXPECT_EQ(options.Double("lb.cpuUsedRate.max"), 90.0);
  EXPECT_TRUE(options.Bool("jdbc.create.db.table"));
  EXPECT_EQ(options.Duration("tasktracker.lease"), 20'000);
  EXPECT_EQ(options.Bytes("job.payload.max"), 65'536);
  EXPECT_THAT(options.List("runner.exec.allow"), IsEmpty());
  EXPECT_EQ(options.String("jdbc.password"), "");
  EXPECT_FALSE(options.IsSet("listenPort"));
  EXPECT_THAT(options.notices(), IsEmpty());
}

TEST_F(OptionsTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  EXPECT_EQ(Load("listenPort=1").Int("listenPort"), 1);
  sources_.environment["LTS_LISTENPORT"] = "2";
  EXPECT_EQ(Load("listenPort=1").Int("listenPort"), 2);
  sources_.flags = {{"listenPort", "3"}};
  const Options options = Load("listenPort=1");
  EXPECT_EQ(options.Int("listenPort"), 3);
  EXPECT_EQ(options.Source("listenPort"), OptionSource::kFlag);
  EXPECT_THAT(options.notices(), IsEmpty());  // that is what precedence is for
}

TEST_F(OptionsTest, ThePrefixOfTheOriginalIsAcceptedForEveryKey) {
  sources_.flags = {{"configs.job.queue", "mysql"}};
  const Options options = Load("configs.listenPort=5\nconfigs.jdbc.create.db.table=false\n");
  EXPECT_EQ(options.Int("listenPort"), 5);
  EXPECT_FALSE(options.Bool("jdbc.create.db.table"));
  EXPECT_EQ(options.String("job.queue"), "mysql");
}

TEST_F(OptionsTest, EnvironmentNamesAreUpperCaseWithUnderscores) {
  EXPECT_EQ(OptionEnvironmentName("registryAddress"), "LTS_REGISTRYADDRESS");
  EXPECT_EQ(OptionEnvironmentName("ops.listen"), "LTS_OPS_LISTEN");
  sources_.environment = {{"LTS_OPS_LISTEN", "127.0.0.1:9"}, {"LTS_HOME", "/x"}};
  EXPECT_EQ(Load("").String("ops.listen"), "127.0.0.1:9");
}

TEST_F(OptionsTest, TypesAreParsed) {
  const Options options = Load(
      "tasktracker.lease = 1500ms \nlazy.period=7\njob.payload.max=1MiB\n"
      "runner.exec.allow= /usr/bin/a , /b c,,\nlb.cpuUsedRate.max=0.5\n"
      "jdbc.create.db.table=FALSE\n");
  EXPECT_EQ(options.Duration("tasktracker.lease"), 1500);
  EXPECT_EQ(options.Duration("lazy.period"), 7000);
  EXPECT_EQ(options.Bytes("job.payload.max"), 1 << 20);
  EXPECT_THAT(options.List("runner.exec.allow"), ElementsAre("/usr/bin/a", "/b c"));
  EXPECT_EQ(options.Double("lb.cpuUsedRate.max"), 0.5);
  EXPECT_FALSE(options.Bool("jdbc.create.db.table"));
}

TEST_F(OptionsTest, AnUnknownKeyNamesFileLineAndTheNearestKey) {
  EXPECT_EQ(ErrorOf("# c\nlistenport=1\n"),
            "x.cfg:2: unknown key \"listenport\"; did you mean \"listenPort\"?");
  EXPECT_EQ(ErrorOf("configs.job.quue=mysql\n"),
            "x.cfg:1: unknown key \"configs.job.quue\"; did you mean \"job.queue\"?");
  EXPECT_EQ(ErrorOf("zzzzzzzzzz=1\n"),
            "x.cfg:1: unknown key \"zzzzzzzzzz\"; jobtracker --help lists the options");
}

TEST_F(OptionsTest, AnUnknownFlagIsAnErrorToo) {
  sources_.flags = {{"lisenPort", "1"}};
  EXPECT_EQ(ErrorOf(""), "--lisenPort: unknown key \"lisenPort\"; did you mean \"listenPort\"?");
}

TEST_F(OptionsTest, EverythingWrongIsReportedAtOnce) {
  EXPECT_EQ(ErrorOf("listenPort=70000\njob.queue=h2\ntasktracker.lease=1\n"
                    "jdbc.create.db.table=maybe\nlistenPort=\njob.payload.max=2M\n"),
            "x.cfg:1: listenPort=70000: out of bounds; expected whole number from 0 to 65535\n"
            "x.cfg:2: job.queue=h2: not one of the choices; expected rocksdb or mysql\n"
            "x.cfg:3: tasktracker.lease=1: out of bounds; expected duration from 1s to 1h\n"
            "x.cfg:4: jdbc.create.db.table=maybe: neither true nor false; expected true or false\n"
            "x.cfg:5: listenPort=: empty; expected whole number from 0 to 65535\n"
            "x.cfg:6: job.payload.max=2M: out of bounds; expected bytes at most 1MiB");
}

TEST_F(OptionsTest, AKeyGivenTwiceCountsTheLastTimeWithANotice) {
  const Options options = Load("listenPort=1\nconfigs.listenPort=2\n");
  EXPECT_EQ(options.Int("listenPort"), 2);
  EXPECT_THAT(options.notices(), ElementsAre(HasSubstr("x.cfg:2: listenPort again, replaces ")));
}

TEST_F(OptionsTest, KeysOfTheOriginalWithoutMeaningGiveOneNoticeForEachReason) {
  const Options options = Load(
      "configs.druid.maxActive=5\nconfigs.druid.filters=stat\nlts.remoting=mina\n"
      "workThreads=10\nmongo.database=lts\n");
  ASSERT_EQ(options.notices().size(), 4U);
  EXPECT_THAT(options.notices(),
              ::testing::Contains(::testing::AllOf(
                  HasSubstr("x.cfg:1 configs.druid.maxActive, "),
                  HasSubstr("x.cfg:2 configs.druid.filters: without effect: the pool of"))));
  EXPECT_THAT(
      options.notices(),
      ::testing::Contains(HasSubstr("lts.remoting: without effect: the transport is gRPC")));
  EXPECT_THAT(
      options.notices(),
      ::testing::Contains(HasSubstr("workThreads: without effect: belongs to another kind")));
}

TEST_F(OptionsTest, EnginesOfTheOriginalThatAreNotSupportedAreRefusedNamingWhatToUse) {
  EXPECT_THAT(ErrorOf("registryAddress=redis://127.0.0.1:6379"),
              ::testing::AllOf(HasSubstr("x.cfg:1: registryAddress=redis://"),
                               HasSubstr("use zookeeper://"), HasSubstr("jobtracker://")));
  EXPECT_THAT(ErrorOf("configs.job.queue=mongo"), HasSubstr("use mysql"));
  EXPECT_THAT(ErrorOf("job.logger=mongo"), HasSubstr("use mysql"));
}

TEST_F(OptionsTest, ASecretIsReadFromAFileBesideTheConfiguration) {
  const std::string path = folder_.Write("db.password", "pa ss#1\n");
  chmod(path.c_str(), 0600);
  const Options options = Load("configs.jdbc.password_file=db.password\n");
  EXPECT_EQ(options.String("jdbc.password"), "pa ss#1");
  EXPECT_THAT(options.notices(), IsEmpty());
  EXPECT_THAT(options.warnings(), IsEmpty());
}

TEST_F(OptionsTest, ASecretFileThatOthersCanReadIsWarnedOf) {
  const std::string path = folder_.Write("db.password", "pass");
  for (const auto& [mode, shown] : std::map<mode_t, std::string>{
           {0644, "mode 0644"}, {0640, "mode 0640"}, {0604, "mode 0604"}, {04440, "mode 4440"}}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const Options options = Load("jdbc.password_file=" + path);
    EXPECT_EQ(options.String("jdbc.password"), "pass");
    EXPECT_THAT(options.warnings(),
                ElementsAre(AllOf(HasSubstr(shown), HasSubstr("chmod 600 " + path))));
    EXPECT_THAT(options.notices(), IsEmpty());
  }
  for (const mode_t mode : {0600, 0400, 0711}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_THAT(Load("jdbc.password_file=" + path).warnings(), IsEmpty());
  }
}

TEST_F(OptionsTest, ASecretFileByEnvironmentBeatsTheSecretInTheFile) {
  const std::string path = folder_.Write("p", "new");
  sources_.environment["LTS_JDBC_PASSWORD_FILE"] = path;
  EXPECT_EQ(Load("jdbc.password=old").String("jdbc.password"), "new");
  sources_.environment["LTS_JDBC_PASSWORD"] = "both";
  EXPECT_THAT(ErrorOf(""), HasSubstr("LTS_JDBC_PASSWORD_FILE: jdbc.password is given by "
                                     "LTS_JDBC_PASSWORD too"));
}

TEST_F(OptionsTest, ASecretFileThatIsMissingOrEmptyIsAnError) {
  EXPECT_THAT(ErrorOf("jdbc.password_file=none"),
              HasSubstr("x.cfg:1: jdbc.password_file: cannot open"));
  folder_.Write("empty", "\n");
  EXPECT_THAT(ErrorOf("jdbc.password_file=empty"), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf("listenPort_file=x"), HasSubstr("unknown key"));  // not a secret
}

TEST_F(OptionsTest, SecretsAreNeverPrinted) {
  sources_.flags = {{"jdbc.password", "hunter2"}};
  const Options options = Load("");
  EXPECT_THAT(options.Describe(), Not(HasSubstr("hunter2")));
  EXPECT_THAT(options.Describe(), HasSubstr("jdbc.password=********  # --jdbc.password\n"));
  ASSERT_EQ(options.warnings().size(), 1U);
  EXPECT_THAT(options.warnings()[0], HasSubstr("LTS_JDBC_PASSWORD"));
  EXPECT_THAT(options.warnings()[0], Not(HasSubstr("hunter2")));
}

TEST_F(OptionsTest, AStarRowTakesEveryKeyWithItsBeginning) {
  const Options options =
      Load("runner.word_count.max_bytes=5\nrunner.exec.allow=/b\nrunner.a.b= x\n");
  EXPECT_THAT(options.WithPrefix("runner."),
              ElementsAre(Pair("runner.a.b", "x"), Pair("runner.word_count.max_bytes", "5")));
  EXPECT_THAT(options.WithPrefix("runner.word_count."), ::testing::SizeIs(1));
  EXPECT_THAT(options.List("runner.exec.allow"), ElementsAre("/b"));
}

TEST_F(OptionsTest, AMissingFileIsNotFound) {
  sources_.file = folder_.Below("none.cfg");
  EXPECT_EQ(table_.Load(sources_).status().code(), StatusCode::kNotFound);
}

TEST_F(OptionsTest, DescribeTellsWhereEachValueIsFrom) {
  EXPECT_THAT(Load("listenPort=5").Describe(),
              ::testing::AllOf(HasSubstr("listenPort=5  # " + folder_.path() + "/x.cfg:1\n"),
                               HasSubstr("job.queue=rocksdb  # default\n")));
}

TEST_F(OptionsTest, HelpHasEveryRowOfTheDaemonAndNoOther) {
  const std::string help = table_.Help();
  for (const OptionRow& row : table_.rows()) EXPECT_THAT(help, HasSubstr(std::string(row.name)));
  EXPECT_THAT(help, Not(HasSubstr("workThreads")));
  EXPECT_THAT(help, HasSubstr("listenPort  (whole number from 0 to 65535; default 35001)\n"
                              "      Port for RPC; 0 takes a free one.\n"));
}

TEST_F(OptionsTest, TheSkeletonLoadsAsItIsAndWithEveryCommentMarkRemoved) {
  const std::string skeleton = table_.ConfSkeleton();
  EXPECT_THAT(Load(skeleton).notices(), IsEmpty());
  // Uncommented, all but secrets (their file does not exist) and * rows must load to the defaults.
  std::string active;
  for (std::size_t at = 0; at < skeleton.size();) {
    const std::size_t end = skeleton.find('\n', at);
    const std::string line = skeleton.substr(at, end - at);
    at = end + 1;
    const bool setting = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    if (setting && line.find("_file=") == std::string::npos &&
        line.find('*') == std::string::npos) {
      active.append(line.substr(1)).append("\n");
    }
  }
  const Options options = Load(active);
  EXPECT_EQ(options.Duration("tasktracker.lease"), 20'000);
  EXPECT_TRUE(options.IsSet("tasktracker.lease"));
}

TEST_F(OptionsTest, AskingForWhatIsNoRowOrHasAnotherTypeAborts) {
  const Options options = Load("");
  EXPECT_DEATH(options.Int("listenport"), "option listenport");
  EXPECT_DEATH(options.String("listenPort"), "option listenPort");
  EXPECT_DEATH(options.Int("workThreads"), "option workThreads");
}

TEST(OptionTableDeathTest, RowsThatContradictThemselvesAbort) {
  EXPECT_DEATH(
      OptionTable(Daemon::kAdmin, {{.name = "a", .text = "t"}, {.name = "a", .text = "t"}}),
      "option a: declared twice");
  EXPECT_DEATH(
      OptionTable(
          Daemon::kAdmin,
          {{.name = "a", .text = "t", .type = OptionType::kInt, .default_value = "5", .max = 4}}),
      "option a: its default");
}

TEST(ParseBytes, PowersOf1024) {
  EXPECT_EQ(*ParseBytes("0"), 0);
  EXPECT_EQ(*ParseBytes("7B"), 7);
  EXPECT_EQ(*ParseBytes("64K"), 65'536);
  EXPECT_EQ(*ParseBytes("64KiB"), 65'536);
  EXPECT_EQ(*ParseBytes("2GiB"), 2LL << 30);
  EXPECT_EQ(*ParseBytes("1T"), 1LL << 40);
  for (const char* wrong : {"", "-1", "1KB", "1k", "KiB", "99999999T", "1 K"}) {
    EXPECT_FALSE(ParseBytes(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace lts
