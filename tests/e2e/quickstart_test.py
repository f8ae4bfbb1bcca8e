"""What the README promises of the first five minutes."""

import hashlib
import os

import harness


class Quickstart(harness.EndToEnd):
    def test_a_job_of_the_exec_runner_prints_its_digest(self):
        home = self.home()
        self.ok(home.jobtracker("start"))
        self.ok(home.tasktracker("start"))
        submitted = home.cli("submit", "--group", "demo", "--task", "t1", "--runner", "exec", "--param",
                             "program=/usr/bin/sha256sum", "--param", "args=/etc/os-release", "--wait")
        self.ok(submitted)
        with open("/etc/os-release", "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.assertEqual(submitted.out, f"{digest}  /etc/os-release\n")

    def test_the_shipped_plugin_counts_words(self):
        home = self.home()
        self.ok(home.jobtracker("start"))
        self.ok(home.tasktracker("start"))
        text = os.path.join(self.folder, "words.txt")
        with open(text, "w", encoding="utf-8") as file:
            file.write("one two\nthree\n")
        submitted = home.cli("submit", "--group", "demo", "--task", "t2", "--runner", "word_count", "--param",
                             f"file={text}", "--wait")
        self.ok(submitted)
        self.assertEqual(submitted.out, "lines=2 words=3\n")


if __name__ == "__main__":
    harness.main()
