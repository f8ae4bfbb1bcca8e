#include "support/mariadb_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

namespace lts::testing {
namespace {

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  std::fflush(stderr);
  std::_Exit(1);
}

std::string Find(const std::string& program) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/"}) {
    if (::access((folder + program).c_str(), X_OK) == 0) return folder + program;
  }
  Fail(program +
       " is not installed: scripts/install-deps.sh cluster installs mariadb-server-core, or "
       "LTS_TEST_MYSQL_URL names a server that runs already");
}

// The child dies with the thread that made it: the main thread of the test program. Its standard
// output and error go to `out`.
pid_t Spawn(const std::vector<std::string>& arguments, int out) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::setpgid(0, 0);  // a Ctrl-C at the test is no orderly stop of the server
  ::dup2(out, 1);
  ::dup2(out, 2);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    Fail("no free port on 127.0.0.1");
  }
  ::close(fd);
  return ntohs(address.sin_port);
}

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// The server takes another user's name only from root, and root's only when told so.
std::vector<std::string> UserArgument() {
  if (::geteuid() != 0) return {};
  return {"--user=root"};
}

}  // namespace

MariadbServer::MariadbServer(Options options) : options_(std::move(options)) {
  data_ = options_.folder.empty() ? temp_.Below("data") : options_.folder + "/data";
  const std::string log = temp_.Below("install.log");
  std::vector<std::string> install = {Find("mariadb-install-db"),
                                      "--no-defaults",
                                      "--datadir=" + data_,
                                      "--auth-root-authentication-method=normal",
                                      "--skip-test-db",
                                      "--skip-name-resolve",
                                      "--force"};  // on hosts whose own name cannot be looked up
  for (std::string& argument : UserArgument()) install.push_back(std::move(argument));
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const pid_t pid = Spawn(install, out);
  ::close(out);
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || status != 0) {
    Fail("mariadb-install-db failed:\n" + ReadFile(log));
  }
  temp_.Write("init.sql", std::string("CREATE USER IF NOT EXISTS ") + kUser +
                              "@'%' IDENTIFIED BY 'a ''quoted'' password';\n"
                              "GRANT ALL ON *.* TO " +
                              kUser + "@'%' WITH GRANT OPTION;\n");
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = FreePort();  // somebody may take it before the server does
    if (TryStart()) return;
    End(SIGKILL);
  }
  Fail("mariadbd did not start:\n" + Log());
}

MariadbServer::~MariadbServer() { End(SIGKILL); }

bool MariadbServer::TryStart() {
  std::vector<std::string> arguments = {
      Find("mariadbd"), "--no-defaults", "--datadir=" + data_, "--port=" + std::to_string(port_),
      "--bind-address=127.0.0.1", "--socket=" + temp_.Below("s"),
      "--pid-file=" + temp_.Below("pid"), "--init-file=" + temp_.Below("init.sql"),
      "--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M",
      "--max-connections=200",
      // What is committed outlives the process, not the machine.
      "--innodb-flush-log-at-trx-commit=2"};
  for (std::string& argument : UserArgument()) arguments.push_back(std::move(argument));
  for (const std::string& argument : options_.arguments) arguments.push_back(argument);
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) Fail("no pipe");
  log_.clear();
  ended_ = false;
  pid_ = Spawn(arguments, out[1]);
  ::close(out[1]);
  reader_ = std::thread([this, fd = out[0]] {
    char bytes[4096];
    for (;;) {
      const ssize_t n = ::read(fd, bytes, sizeof bytes);
      const std::lock_guard lock(mutex_);
      if (n > 0) {
        log_.append(bytes, static_cast<std::size_t>(n));
      } else {
        ended_ = true;
      }
      changed_.notify_all();
      if (n <= 0) break;
    }
    ::close(fd);
  });
  std::unique_lock lock(mutex_);
  changed_.wait(
      lock, [this] { return ended_ || log_.find("ready for connections") != std::string::npos; });
  return !ended_;
}

void MariadbServer::End(int signal) {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGCONT);
  ::kill(pid_, signal);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  reader_.join();
}

std::string MariadbServer::Log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

void MariadbServer::Stop() { End(SIGTERM); }
void MariadbServer::Kill() { End(SIGKILL); }
void MariadbServer::Start() {
  if (!TryStart()) Fail("mariadbd did not start again:\n" + Log());
}
void MariadbServer::Freeze() { ::kill(pid_, SIGSTOP); }
void MariadbServer::Thaw() { ::kill(pid_, SIGCONT); }

const TestDatabaseServer& TestDatabaseServer::Shared() {
  static const TestDatabaseServer shared = [] {
    TestDatabaseServer server;
    if (const char* url = std::getenv("LTS_TEST_MYSQL_URL"); url != nullptr && *url != '\0') {
      const std::string text = url;
      const std::string scheme = "jdbc:mysql://";
      const std::size_t slash = text.find('/', scheme.size());
      if (text.compare(0, scheme.size(), scheme) != 0 || slash == std::string::npos) {
        Fail("LTS_TEST_MYSQL_URL is not jdbc:mysql://host:port/prefix");
      }
      const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value == nullptr ? "" : value);
      };
      server.host_and_port = text.substr(scheme.size(), slash - scheme.size());
      server.prefix = text.substr(slash + 1) + "_" + std::to_string(::getpid()) + "_";
      server.user = variable("LTS_TEST_MYSQL_USER");
      server.password = variable("LTS_TEST_MYSQL_PASSWORD");
      return server;
    }
    static MariadbServer own;
    server.host_and_port = "127.0.0.1:" + std::to_string(own.port());
    server.prefix = "lts_";
    server.user = MariadbServer::kUser;
    server.password = MariadbServer::kPassword;
    return server;
  }();
  return shared;
}

}  // namespace lts::testing
