"""The examples, copied to an empty folder, are built and run against an installed LTS only: by CMake, and by the
commands that README.md prints between <!-- test:install --> and <!-- /test -->.
"""

import glob
import os
import re
import shutil
import subprocess

import harness

SOURCE = os.environ["LTS_SOURCE"]
CMAKE = os.environ["LTS_CMAKE"]


def readme_commands():
    """The g++ commands of the README, by the source file that each compiles."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"<!-- test:install -->(.*?)<!-- /test -->", file.read(), re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return {re.search(r"(\w+)\.cc", line).group(1): line for line in lines if line.startswith("g++ ")}


class Examples(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        # Neither sources nor build are within reach: a copy of the tree, a copy of the examples.
        self.lts = self.home()
        self.dist = self.lts.folder
        self.examples = os.path.join(self.folder, "examples")
        shutil.copytree(os.path.join(SOURCE, "examples"), self.examples)

    def shell(self, command, cwd):
        done = subprocess.run(["sh", "-c", command], cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
                              env={**os.environ, "DIST": self.dist})
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}\n{done.stderr}")

    def by_cmake(self, example):
        folder = os.path.join(self.examples, example)
        done = subprocess.run([CMAKE, "-S", folder, "-B", folder + "/build", f"-DCMAKE_PREFIX_PATH={self.dist}"],
                              capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.shell(f"'{CMAKE}' --build build", folder)
        return os.path.join(folder, "build")

    def by_readme(self, example, dist=None):
        commands = readme_commands()
        self.assertIn(example, commands, "README.md has no such command between its test:install comments")
        folder = os.path.join(self.examples, example)
        self.dist = dist or self.dist
        self.shell(commands[example], folder)
        return folder

    def run_plugin(self, plugin):
        text = os.path.join(self.folder, "three words here")
        with open(text, "w", encoding="utf-8") as file:
            file.write("three words here\n")
        tried = self.ok(self.lts.run(self.lts.path("bin/tasktracker"), "try", plugin, "--runner", "word_count", "--param",
                                     f"file={text}"))
        self.assertIn("lines=1 words=3", tried.out)
        # The shipped one has the same runner: this one takes its place.
        subprocess.run(["install", plugin, self.lts.path("lib/plugins/lts_word_count.so")], check=True)
        self.ok(self.lts.jobtracker("start"))
        self.ok(self.lts.tasktracker("start"))
        done = self.ok(self.lts.cli("submit", "--group", "demo", "--task", "t", "--runner", "word_count", "--param",
                                    f"file={text}", "--wait"))
        self.assertEqual(done.out, "lines=1 words=3\n")

    def run_client(self, program):
        self.ok(self.lts.jobtracker("start"))
        self.ok(self.lts.tasktracker("start"))
        done = self.ok(self.lts.run(program, self.lts.registry, "demo", "word_count", "file=/etc/os-release"))
        self.assertRegex(done.out, r"^lines=\d+ words=\d+\n$")
        failed = self.lts.run(program, self.lts.registry, "demo", "word_count", "file=/nowhere")
        self.ok(failed, 1)
        self.assertIn("cannot read /nowhere", failed.out)

    def test_the_plugin_by_cmake(self):
        self.run_plugin(os.path.join(self.by_cmake("word_count"), "lts_word_count.so"))

    def test_the_client_by_cmake(self):
        self.run_client(os.path.join(self.by_cmake("submit_and_wait"), "submit_and_wait"))

    def test_the_plugin_by_the_command_of_the_readme(self):
        self.run_plugin(os.path.join(self.by_readme("word_count", self.without_blanks()), "word_count.so"))

    def test_the_client_by_the_command_of_the_readme(self):
        self.run_client(os.path.join(self.by_readme("submit_and_wait", self.without_blanks()), "submit_and_wait"))

    def without_blanks(self):
        """The commands write $DIST without quotes, as one does; here it is another name of the same tree."""
        link = os.path.join(self.folder, "dist")
        os.symlink(self.dist, link)
        return link

    def test_public_headers_need_nothing_else(self):
        headers = sorted(os.path.relpath(path, self.lts.path("include"))
                         for path in glob.glob(self.lts.path("include/lts/*")))
        self.assertIn("lts/job_client.h", headers)
        for header in headers:
            language = "c -std=c11" if header.endswith("_abi.h") else "c++ -std=c++17"
            self.shell(f"echo '#include <{header}>' | g++ -x {language} -Wall -Wextra -Werror -pedantic -fsyntax-only "
                       f"-I\"$DIST/include\" -", self.folder)


if __name__ == "__main__":
    harness.main()
