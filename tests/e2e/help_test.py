"""Every example that the help of `jobclient` shows is run as it stands there, in a shell."""

import json
import os
import pty
import re
import signal
import subprocess
import unittest

import harness

UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
HELLO = ("submit", "--group", "demo", "--task", "hello", "--runner", "word_count", "--param", "file=/etc/hosts")
NIGHTLY = ("submit", "--group", "demo", "--task", "nightly", "--cron", "0 0 3 * * ?", "--tz", "Europe/Berlin",
           "--runner", "word_count", "--param", "file=/etc/hosts")
STAYS = ("agent",)  # until it is told to end
# What they are about need not run at the moment; then they say so.
NEEDS_LUCK = {"terminate": "nothing of job"}


class Examples(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        self.lts = self.started(test_runners=False)
        # As somebody has it who has read the help of `submit` and works in the folder of the installation.
        self.lts.env["PATH"] = self.lts.path("bin") + os.pathsep + os.environ["PATH"]
        self.hello = self.ok(self.lts.cli(*HELLO, "-o", "json")).json()[0]["jobId"]
        self.wait_state(self.lts, self.hello, "SUCCEEDED")
        # What waits on disk for the verbs that tidy up there.
        self.ok(self.lts.cli("submit", "--group", "demo", "--task", "kept", "--store", "--client-group", "order_service",
                             "--registry", "jobtracker://127.0.0.1:1"))

    def table(self):
        return self.ok(self.lts.cli("help", "-o", "json")).json()

    def shell(self, command):
        return self.lts.run("/bin/sh", "-c", command, cwd=self.lts.folder)

    def stays(self, command):
        """A verb that stays: runs until it says that it does, then it is told to end."""
        process = self.lts.background("/bin/sh", "-c", "exec " + command, cwd=self.lts.folder, stderr=subprocess.PIPE,
                                      stdout=subprocess.DEVNULL)
        with process:
            said = harness.lines_of(process.stderr, 1)[0]
            process.send_signal(signal.SIGTERM)
            code = process.wait(harness.DEADLINE_S)
        return harness.Output([command], code, "", said)

    def test_every_example_does_what_it_says(self):
        verbs = self.table()
        self.assertGreater(len(verbs), 15)
        # The agent sends what is kept on disk, so it comes last.
        for row in sorted(verbs, key=lambda row: row["verb"] in STAYS):
            shown = self.ok(self.lts.cli(*row["verb"].split(), "--help")).out
            examples = [line.strip() for line in shown.split("Example:\n", 1)[1].splitlines() if line.strip()]
            self.assertEqual(examples, row["examples"])
            for example in examples:
                with self.subTest(example=example):
                    self.ok(self.lts.cli(*NIGHTLY))
                    run = self.stays if row["verb"] in STAYS else self.shell
                    done = run(UUID.sub(self.hello, example))
                    if row["verb"] in NEEDS_LUCK and done.code == 4:
                        self.assertIn(NEEDS_LUCK[row["verb"]], done.err)
                    else:
                        self.ok(done)

    def test_the_example_of_the_program_itself(self):
        shown = self.ok(self.lts.cli("--help")).out
        example = shown.split("Example:\n", 1)[1].strip()
        self.assertIn("lines=", self.ok(self.shell(example)).out)

    def test_a_long_file_shows_how_far_it_is_on_a_terminal_alone(self):
        jobs = self.lts.path("jobs.jsonl")
        with open(jobs, "w", encoding="utf-8") as file:
            for i in range(3000):
                print(json.dumps({"taskId": f"t{i}", "taskTrackerNodeGroup": "nobody"}), file=file)
        submit = (self.lts.path("bin/jobclient"), "submit", "--file", jobs)
        self.assertEqual(self.ok(self.lts.cli(*submit[1:])).err, "")
        ours, theirs = pty.openpty()
        with self.lts.background(*submit, stdout=subprocess.DEVNULL, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            try:
                while piece := os.read(ours, 4096):
                    shown += piece
            except OSError:  # so a terminal ends that nobody writes to any more
                pass
            self.assertEqual(process.wait(harness.DEADLINE_S), 0)
        os.close(ours)
        self.assertRegex(shown.decode(), r"\r\[#+\.+\] +\d+ %  [12]000 lines")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)

    def test_completion_is_installed_and_is_what_the_program_prints(self):
        self.assertEqual(self.lts.read("share/bash-completion/completions/jobclient"),
                         self.ok(self.lts.cli("completion", "bash")).out)


if __name__ == "__main__":
    harness.main()
