#!/usr/bin/python3
"""scripts/install-deps.sh, run under dash with pretended dpkg-query, apt-get, id and sudo.

usage: install_deps_test.py SOURCE_FOLDER [unittest arguments]
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = sys.argv.pop(1)
TOOLS = ("dash", "sh", "env", "grep", "awk", "sed", "cat", "printf", "true", "chmod")

DPKG_QUERY = """#!/bin/sh
for last; do :; done
grep -qx -e "$last" "$FAKE/installed" && printf installed
"""
APT_CACHE = """#!/bin/sh
[ -e "$FAKE/lists" ]
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >>"$FAKE/calls"
case " $* " in
  *" update "*) : >"$FAKE/lists" ;;
  *" --print-uris "*) printf "'http://x/a.deb' a.deb 1048576 SHA256:1\\n'http://x/b.deb' b.deb 1 SHA256:2\\n" ;;
  *" install "*) if [ -e "$FAKE/stale" ]; then rm "$FAKE/stale"; exit 100; fi ;;
esac
"""
SUDO = """#!/bin/sh
echo "sudo $*" >>"$FAKE/calls"
[ "$1" = -n ] && shift
exec "$@"
"""


class InstallDeps(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lts-deps-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        for tool in TOOLS:
            os.symlink(shutil.which(tool), self.below(tool))
        os.symlink(shutil.which("rm"), self.below("rm"))
        self.tool("dpkg-query", DPKG_QUERY)
        self.tool("apt-cache", APT_CACHE)
        self.tool("apt-get", APT_GET)
        self.set_user(0)
        self.write("installed", "")
        self.write("lists", "")

    def below(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.below(name), "w", encoding="utf-8") as file:
            file.write(text)

    def tool(self, name, text):
        self.write(name, text)
        os.chmod(self.below(name), 0o755)

    def set_user(self, uid):
        self.tool("id", f"#!/bin/sh\necho {uid}\n")

    def run_script(self, *arguments):
        # Only the pretended tools are found, so that no real package manager can run.
        return subprocess.run([shutil.which("dash"), os.path.join(SOURCE, "scripts/install-deps.sh"),
                               *arguments], env={"PATH": self.folder, "FAKE": self.folder},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def calls(self):
        try:
            with open(self.below("calls"), encoding="utf-8") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def test_root_installs_what_is_missing_and_first_says_how_much(self):
        result = self.run_script("build")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("installing 2 packages, to download: 2 MiB", result.stdout)
        calls = self.calls()
        self.assertEqual(len(calls), 2)
        self.assertIn(" install -y ", calls[1])
        self.assertIn("--no-install-recommends", calls[1])
        self.assertIn(" libgrpc++-dev ", calls[1])
        self.assertNotIn("libgtest-dev", calls[1])

    def test_servers_for_tests_come_from_packages_that_start_none(self):
        self.run_script("cluster")
        packages = self.calls()[-1].split("--no-install-recommends ")[1].split()
        self.assertIn("libzookeeper-java", packages)
        self.assertIn("mariadb-server-core", packages)
        for starts_one in ("zookeeperd", "mariadb-server", "default-mysql-server"):
            self.assertNotIn(starts_one, packages)

    def test_the_zookeeper_client_is_needed_to_build(self):
        self.run_script("build")
        self.assertIn(" libzookeeper-mt-dev ", self.calls()[-1] + " ")

    def test_nothing_is_done_when_all_is_there(self):
        self.run_script("test", "cluster")
        everything = self.calls()[-1].split("--no-install-recommends ")[1].split()
        os.remove(self.below("calls"))
        self.write("installed", "\n".join(everything) + "\n")
        result = self.run_script("test", "cluster")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("all packages are installed", result.stdout)
        self.assertEqual(self.calls(), [])

    def test_only_the_missing_ones_are_asked_for_each_once(self):
        self.run_script("build", "test")
        everything = self.calls()[-1].split("--no-install-recommends ")[1].split()
        self.assertEqual(len(everything), len(set(everything)))
        self.write("installed", "\n".join(p for p in everything if p != "mold") + "\n")
        self.run_script("build", "test")
        self.assertTrue(self.calls()[-1].endswith("--no-install-recommends mold"))

    def test_missing_lists_are_read_first(self):
        os.remove(self.below("lists"))
        self.assertEqual(self.run_script("build").returncode, 0)
        self.assertIn(" update ", self.calls()[0] + " ")

    def test_stale_lists_are_read_again(self):
        self.write("stale", "")
        self.assertEqual(self.run_script("build").returncode, 0)
        self.assertEqual(["update" in call for call in self.calls()], [False, False, True, False])

    def test_sudo_is_used_when_not_root(self):
        self.set_user(1000)
        self.tool("sudo", SUDO)
        self.assertEqual(self.run_script("build").returncode, 0)
        self.assertTrue(any(c.startswith("sudo env DEBIAN_FRONTEND=noninteractive apt-get") for c in self.calls()))

    def test_without_root_and_sudo_the_command_is_printed_and_nothing_called(self):
        self.set_user(1000)
        result = self.run_script("console")
        self.assertEqual(result.returncode, 1)
        self.assertIn("apt-get update && apt-get install --no-install-recommends chromium", result.stderr)
        self.assertEqual(self.calls(), [])

    def test_usage(self):
        self.assertEqual(self.run_script().returncode, 2)
        self.assertEqual(self.run_script("everything").returncode, 2)


if __name__ == "__main__":
    unittest.main(verbosity=1)
