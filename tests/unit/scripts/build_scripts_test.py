#!/usr/bin/python3
"""scripts/build.sh, scripts/test.sh and .ci/run, run under dash with a pretended cmake and ctest.

usage: build_scripts_test.py SOURCE_FOLDER [unittest arguments]
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = sys.argv.pop(1)

CMAKE = """#!/bin/sh
echo "cmake $*" >>"$FAKE/calls"
case $* in
  *"$FAIL"*) [ -n "$FAIL" ] && exit 3 ;;
esac
[ "$1" = --install ] || exit 0
mkdir -p "$4/bin" "$4/conf/zoo"
echo "$CONTENT" >"$4/bin/jobtracker"
echo "$CONTENT" >"$4/conf/zoo/jobtracker.cfg"
echo same >"$4/conf/tasktracker.cfg"
for daemon in jobtracker tasktracker; do
  printf '#!/bin/sh\nexit "${STATUS:-3}"\n' >"$4/bin/$daemon.sh"
  chmod 755 "$4/bin/$daemon.sh"
done
"""
# ZooKeeper does not come up: `cluster.sh up` ends after its build.
JAVA = "#!/bin/sh\nexit 1\n"
CTEST = """#!/bin/sh
echo "ctest $*" >>"$FAKE/calls"
echo "100% tests passed, 0 tests failed out of 1"
exit "$CTEST_CODE"
"""


class BuildScripts(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="lts build ")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.source = os.path.join(self.top, "the source")
        self.tools = os.path.join(self.top, "tools")
        os.makedirs(self.tools)
        shutil.copytree(os.path.join(SOURCE, "scripts"), os.path.join(self.source, "scripts"))
        shutil.copytree(os.path.join(SOURCE, ".ci"), os.path.join(self.source, ".ci"))
        shutil.copy(os.path.join(SOURCE, "CMakeLists.txt"), self.source)
        for name, text in (("cmake", CMAKE), ("ctest", CTEST), ("java", JAVA)):
            path = os.path.join(self.tools, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o755)

    def run_script(self, *command, content="1", fail="", ctest_code="0", **more):
        env = {**os.environ, "PATH": self.tools + ":" + os.environ["PATH"], "FAKE": self.top, "FAIL": fail,
               "CONTENT": content, "CTEST_CODE": ctest_code, "LTS_SKIP_DEPS": "1", **more}
        return subprocess.run(command, env=env, cwd=self.top, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)

    def build(self, **more):
        return self.run_script("dash", os.path.join(self.source, "scripts/build.sh"), **more)

    def run_tests(self, *arguments, **more):
        return self.run_script("dash", os.path.join(self.source, "scripts/test.sh"), *arguments, **more)

    def calls(self):
        with open(os.path.join(self.top, "calls"), encoding="utf-8") as file:
            return file.read().splitlines()

    def dist(self, path=""):
        names = os.listdir(os.path.join(self.source, "dist"))
        self.assertEqual(len(names), 1)
        self.assertRegex(names[0], r"^lts-\d+\.\d+\.\d+-bin$")
        return os.path.join(self.source, "dist", names[0], path)

    def content(self, path):
        with open(self.dist(path), encoding="utf-8") as file:
            return file.read().strip()

    def test_plugins_that_somebody_added_stay(self):
        self.assertEqual(self.build().returncode, 0)
        os.makedirs(self.dist("lib/plugins/more"))
        for name in ("mine.so", "more/other one.so"):
            with open(self.dist("lib/plugins/" + name), "w", encoding="utf-8") as file:
                file.write(name)
        self.assertEqual(self.build().returncode, 0)
        for name in ("mine.so", "more/other one.so"):
            self.assertEqual(self.content("lib/plugins/" + name), name)

    def test_build_installs_into_dist(self):
        result = self.build()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.content("bin/jobtracker"), "1")
        self.assertEqual(self.content("conf/zoo/jobtracker.cfg"), "1")

    def test_building_again_keeps_configuration_and_data_and_replaces_programs(self):
        self.build()
        os.makedirs(self.dist("data/zoo"))
        with open(self.dist("conf/zoo/jobtracker.cfg"), "w", encoding="utf-8") as file:
            file.write("mine")
        old = os.stat(self.dist("bin/jobtracker")).st_ino
        with open(self.dist("bin/jobtracker"), encoding="utf-8"):  # as a running daemon holds it
            result = self.build(content="2")
            self.assertNotEqual(os.stat(self.dist("bin/jobtracker")).st_ino, old)
        self.assertEqual(self.content("bin/jobtracker"), "2")
        self.assertEqual(self.content("conf/zoo/jobtracker.cfg"), "mine")
        self.assertEqual(self.content("conf/zoo/jobtracker.cfg.new"), "2")
        self.assertIn("kept ", result.stdout)
        self.assertFalse(os.path.exists(self.dist("conf/tasktracker.cfg.new")))
        self.assertTrue(os.path.isdir(self.dist("data/zoo")))

    def test_a_failed_build_is_a_failure_and_leaves_dist_alone(self):
        self.assertEqual(self.build(fail="--build").returncode, 3)
        self.assertFalse(os.path.exists(os.path.join(self.source, "dist")))

    def cluster(self, verb, **more):
        return self.run_script("dash", os.path.join(self.source, "scripts/cluster.sh"), verb, **more)

    def builds(self):
        return sum(1 for call in self.calls() if call.startswith("cmake --build"))

    def test_a_cluster_is_built_when_sources_are_newer_and_nothing_of_it_runs(self):
        self.cluster("up")
        self.assertEqual(self.builds(), 1)
        self.assertIn("which no source is newer than", self.cluster("up").stdout)
        self.assertEqual(self.builds(), 1)
        header = os.path.join(self.source, "src", "new.h")
        os.mkdir(os.path.dirname(header))
        with open(header, "w", encoding="utf-8") as file:
            file.write("// as a git pull leaves it")
        for code in ("0", "4"):
            said = self.cluster("up", STATUS=code).stdout
            self.assertIn("scripts/cluster.sh down, then up", said)
        self.assertEqual(self.builds(), 1)
        self.assertIn("sources are newer than " + self.dist().rstrip("/") + ": building", self.cluster("up").stdout)
        self.assertEqual(self.builds(), 2)
        given = os.path.join(self.source, "another tree")
        os.mkdir(given)
        self.assertIn("using " + given, self.cluster("up", LTS_CLUSTER_DIST=given).stdout)
        self.assertEqual(self.builds(), 2)

    def test_down_says_how_to_undo_what_up_has_let_set(self):
        self.cluster("up")
        said = self.cluster("down")
        self.assertEqual(said.returncode, 0, said.stderr)
        with open(os.path.join(self.source, "scripts/cluster.sh"), encoding="utf-8") as file:
            [export] = [line for line in file if line.startswith("  export LTS_HOME='")]
        names = [word.split("=")[0] for word in export.split()[1:]]
        self.assertEqual(said.stdout.splitlines()[-1], "  unset " + " ".join(names))

    def test_test_sh_ends_with_ctest_and_its_code(self):
        result = self.run_tests(ctest_code="8")
        self.assertEqual(result.returncode, 8)
        self.assertTrue(result.stdout.endswith("out of 1\n"))
        calls = self.calls()
        self.assertEqual(calls[0], "cmake --preset dev")
        self.assertTrue(calls[1].startswith("cmake --build --preset dev"))
        self.assertTrue(calls[2].startswith("ctest --preset dev --no-tests=error"))

    def test_test_sh_takes_a_preset_and_arguments_of_ctest(self):
        self.assertEqual(self.run_tests("--preset", "asan", "-L", "unit").returncode, 0)
        self.assertEqual(self.calls()[0], "cmake --preset asan")
        self.assertTrue(self.calls()[2].endswith(" -L unit"))
        self.assertEqual(self.run_tests("--preset").returncode, 2)

    def test_without_a_build_no_test_runs(self):
        self.assertEqual(self.run_tests(fail="--build").returncode, 3)
        self.assertFalse(any(call.startswith("ctest") for call in self.calls()))

    def test_ci_run_is_test_sh(self):
        result = self.run_script(os.path.join(self.source, ".ci/run"), ctest_code="5")
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assertEqual(len(self.calls()), 3)


if __name__ == "__main__":
    unittest.main(verbosity=1)
