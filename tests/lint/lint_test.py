#!/usr/bin/python3
"""lint.py reports each kind of offence, at its line, and nothing else.

usage: lint_test.py [unittest arguments]
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

LINT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lint.py")
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(LINT)))


class LintTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="lts-lint-")
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def lint(self, check, **environment):
        return subprocess.run([sys.executable, LINT, check, self.root], capture_output=True, text=True,
                              env={**os.environ, **environment}, check=False)

    def offences(self, check):
        result = self.lint(check)
        self.assertEqual(result.stderr, "")
        places = [":".join(line.split(":")[:2]) for line in result.stdout.splitlines()
                  if line.split(":")[0].startswith(("src/", "include/", "tests/", "examples/", "scripts/", "docs/",
                                                "ARCHITECTURE.md"))]
        self.assertEqual(result.returncode, 1 if places else 0, result.stdout)
        return places

    def test_layers(self):
        self.write("src/common/a.h", '#include "lts/status.h"\n#include "model/job.h"\n')
        self.write("src/model/a.h", '#include "common/clock.h"\n// #include "rpc/x.h"\n')
        self.write("src/store/a.cc", '#include "store/b.h"\n\n#include "failstore/c.h"\n#include <vector>\n')
        self.write("src/jobtracker/core/a.cc", '#include "store/rows.h"\n#include "rpc/codec.h"\n')
        self.write("src/jobtracker/core/b.cc", '#include "jobtracker/host.h"\n')
        self.write("src/jobtracker/a.cc", '#include "jobtracker/core/b.h"\n#include "rpc/codec.h"\n')
        self.write("src/jobclient/a.cc", '#include "tasktracker/b.h"\n')
        self.write("src/admin/a.cc", '#include "jobclient/b.h"\n#include "store/job_store.h"\n')
        self.write("src/misc/a.cc", "\n")
        self.assertEqual(sorted(self.offences("layers")),
                         ["src/admin/a.cc:2", "src/common/a.h:2", "src/jobclient/a.cc:1",
                          "src/jobtracker/core/a.cc:2", "src/jobtracker/core/b.cc:1", "src/misc/a.cc:1",
                          "src/store/a.cc:3"])

    def test_doors(self):
        self.write("src/rpc/a.cc", "#include <grpcpp/server.h>\n#include <httplib.h>\n")
        self.write("src/rpc/ops_server.cc", "#include <httplib.h>\n")
        self.write("src/jobtracker/client_service.cc", "#include <grpcpp/server.h>\n")
        self.write("src/jobtracker/host.cc", '#include "lts/v1/client.grpc.pb.h"\n')
        self.write("src/tasktracker/owner_link.cc", "#include <grpcpp/channel.h>\n")
        self.write("src/tasktracker/slots.cc", "\n#include <grpcpp/channel.h>\n")
        self.write("src/store/rocksdb/a.cc", "#include <rocksdb/db.h>\n")
        self.write("src/store/memory/a.cc", "#include <rocksdb/db.h>\n")
        self.write("src/store/a.cc", '#include "store/rocksdb/b.h"\n#include <cppconn/driver.h>\n')
        self.write("src/common/strand.cc", "#include <spdlog/spdlog.h>\n")
        self.write("include/lts/a.h", '#include <fmt/core.h>\n#include "lts/b.h"\n#include <vector>\n')
        self.write("tests/unit/a.cc", "#include <rocksdb/db.h>\n")
        self.assertEqual(sorted(self.offences("doors")),
                         ["include/lts/a.h:1", "src/common/strand.cc:1", "src/jobtracker/host.cc:1",
                          "src/rpc/a.cc:2", "src/store/a.cc:2", "src/store/memory/a.cc:1",
                          "src/tasktracker/slots.cc:2"])

    def test_words(self):
        self.write("src/common/a.cc", "std::this_thread::sleep_for(1s);\nthread.detach();\n"
                                      'usleep(1);  // x\nconst char* s = "usleep(1)";  // sleep_for\n'
                                      "int n = 1'000'000; usleep(n);\nlock.detached();\n")
        self.write("src/common/clock.h", "std::chrono::system_clock::now();\n")
        self.write("src/model/a.cc", "std::chrono::system_clock::now();\nstd::cout << 1;\n")
        self.write("src/model/b.cc", "// TO" "DO: later\n")
        self.write("src/model/c.cc", "// lint: the kernel needs a moment\nusleep(1);\nusleep(2);  // lint:\n")
        self.write("src/jobtracker/main.cc", "std::cout << 1;\n")
        self.write("src/jobclient/cli/get.cc", "std::cout << 1;\n")
        self.write("tests/unit/a.cc", "\nGTEST_SKIP();\n")
        self.assertEqual(sorted(self.offences("words")),
                         ["src/common/a.cc:1", "src/common/a.cc:2", "src/common/a.cc:3", "src/common/a.cc:5",
                          "src/model/a.cc:1", "src/model/a.cc:2", "src/model/b.cc:1", "src/model/c.cc:3",
                          "tests/unit/a.cc:2"])

    def test_catch_all(self):
        self.write("src/rpc/a.cc", "try {\n  F();\n} catch (...) {\n  G();\n}\n\n"
                                   "// A user's runner may throw anything.\n} catch (...) {\n\n\n"
                                   "} catch( ... ) {  // reason\n")
        self.assertEqual(self.offences("catch_all"), ["src/rpc/a.cc:3"])

    def test_length(self):
        self.write("src/a/short.cc", "\n" * 900)
        self.write("src/a/long.cc", "\n" * 901)
        self.write("scripts/long.sh", "\n" * 901)
        self.assertEqual(sorted(self.offences("length")), ["scripts/long.sh:900", "src/a/long.cc:900"])

    def test_guards(self):
        self.write("src/a/good.h", "// x\n#pragma once\n")
        self.write("src/a/bad.h", "#ifndef X\n")
        self.write("include/lts/good.h", "#ifndef LTS_GOOD_H_\n#define LTS_GOOD_H_\n#endif\n")
        self.write("include/lts/bad.h", "#pragma once\n")
        self.assertEqual(sorted(self.offences("guards")), ["include/lts/bad.h:1", "src/a/bad.h:1"])

    def test_cmake(self):
        self.write("src/a/CMakeLists.txt", "lts_library(a SOURCES one.cc sub/two.cc threes.cc)\n")
        for name in ("one.cc", "sub/two.cc", "three.cc", "sub/one.cc"):
            self.write("src/a/" + name, "")
        self.write("examples/x/y.cc", "")
        self.write("tests/p/CMakeLists.txt", "foreach(p echo waits)\n add_library(${p} MODULE in/${p}.c)\n")
        for name in ("echo.c", "waits.c", "wait.c"):
            self.write("tests/p/in/" + name, "")
        self.assertEqual(sorted(self.offences("cmake")),
                         ["examples/x/y.cc:1", "src/a/sub/one.cc:1", "src/a/three.cc:1",
                          "tests/p/in/wait.c:1"])

    def test_headers(self):
        guarded = "#ifndef LTS_{0}\n#define LTS_{0}\n{1}\n#endif\n"
        self.write("include/lts/good.h", guarded.format("A", "#include <string>\nstd::string F();"))
        self.write("include/lts/needs_string.h", guarded.format("B", "std::string G();"))
        self.write("include/lts/new.h", guarded.format("C", "template <typename T> concept K = true;"))
        self.write("include/lts/good_abi.h", guarded.format("D", "struct lts_x { int y; };"))
        self.write("include/lts/bad_abi.h", guarded.format("E", "struct X { int y; X(); };"))
        self.write("include/lts/unguarded.h", "struct Y { int y; };\n")
        self.assertEqual(sorted(set(self.offences("headers"))),
                         ["include/lts/bad_abi.h:1", "include/lts/needs_string.h:1", "include/lts/new.h:1",
                          "include/lts/unguarded.h:1"])

    def test_format(self):
        shutil.copy(os.path.join(SOURCE, ".clang-format"), self.root)
        self.write("src/a/good.cc", "int F() { return 1; }\n")
        self.write("src/a/bad.cc", "\nint  F( ) {return 1;}\n")
        self.assertEqual(self.offences("format"), ["src/a/bad.cc:2"])

    def test_shell(self):
        self.write("scripts/good.sh", "#!/bin/sh\necho \"$1\"\n")
        self.write("scripts/bad.sh", "#!/bin/sh\necho $1\n")
        self.assertEqual(self.offences("shell"), ["scripts/bad.sh:2"])

    def test_docs(self):
        self.write("src/a/b.cc", "")
        self.write("tests/a_test.cc", "TEST(Plain, One) {}\nTEST_F(Fixture,\n       Two) {}\n// TEST(Plain, Gone)\n")
        self.write("tests/e2e/x_test.py", "class A:\n    def test_one(self):\n        pass\n\n\nclass B:\n    pass\n")
        self.write("tests/sim/CMakeLists.txt", "foreach(fault planted another)\n")
        self.write("docs/failures-of-the-original.md", "\n".join((
            "| # | there |",
            "| 1 | `Plain.One` `Fixture.Two` `lts_sim --fault planted` `lts_sim --fault another` `src/a/b.cc` |",
            "| 2 | `Plain.Gone` |",
            "| 3 | `tests/e2e/x_test.py::B.test_one` |",
            "| 4 | `lts_sim --fault plan` |",
            "| 5 | `Plain.One` `src/a/c.cc` |",
            "| 6 | nothing |",
            "| 7 | Does not apply: there is no such thing. |",
            "| 8 | `tests/e2e/x_test.py::A.test_one` |")) + "\n")
        self.write("ARCHITECTURE.md", "`a/b.cc` is there, `a/d.cc` is not, `*/options.cc` may be\n")
        self.assertEqual(sorted(self.offences("docs")),
                         ["ARCHITECTURE.md:1"] + [f"docs/failures-of-the-original.md:{n}" for n in range(3, 8)])

    def test_reasons(self):
        self.write("src/jobtracker/core/explain.cc", 'add(\n    "GOOD_ONE", "says why");\n'
                                                     'add(n > 1 ? "UNTESTED" : "NOT_THERE", "");\n')
        self.write("src/jobtracker/queries.cc", 'set_code("ENDED");\nadd(time, "SENT", "");\n')
        self.write("tests/unit/core/a_test.cc", 'Codes("GOOD_ONE", "NOT_THERE", "ENDED")\n')
        self.write("docs/jobs.md", "| `RUNNING` | a state |\n\n## Why it does not run\n\n"
                                   "| `GOOD_ONE` | a |\n| `UNTESTED` | b |\n| `ENDED` | c |\n| `GONE` | d |\n")
        self.assertEqual(sorted(self.offences("reasons")),
                         ["docs/jobs.md:1"] + ["src/jobtracker/core/explain.cc:3"] * 2)

    def test_a_missing_tool_is_a_skip_and_in_ci_a_failure(self):
        self.write("src/a/good.cc", "int F();\n")
        self.assertEqual(self.lint("format", PATH="/nonexistent", CI="").returncode, 77)
        result = self.lint("format", PATH="/nonexistent", CI="true")
        self.assertEqual(result.returncode, 1)
        self.assertIn("clang-format-14 is missing", result.stdout)

    def test_a_wrong_root_is_not_a_clean_one(self):
        self.assertEqual(self.lint("words").returncode, 1)
        self.assertEqual(self.lint("no_such_check").returncode, 2)


if __name__ == "__main__":
    unittest.main(verbosity=1)
