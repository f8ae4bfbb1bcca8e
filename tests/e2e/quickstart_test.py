"""What the README promises of the first five minutes."""

import glob
import hashlib
import os
import shutil
import signal
import subprocess

import harness

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "quickstart.sh")

# A client that tells of each attempt of in-three-seconds twice.
REPEATING_CLIENT = """#!/bin/sh
if [ "$1" = attempts ]; then
  "$0.real" "$@" | sed '/"in-three-seconds"/p'
else
  exec "$0.real" "$@"
fi
"""

# A client that sends one of the files elsewhere.
LOSING_CLIENT = """#!/bin/sh
for argument in "$@"; do
  shift
  [ "$argument" != file=/usr/share/common-licenses/BSD ] || argument=file=/nowhere
  set -- "$@" "$argument"
done
exec "$0.real" "$@"
"""


class Script(harness.EndToEnd):
    """scripts/quickstart.sh over the installed tree."""

    def start(self, *args, dist=harness.TREE, **kwargs):
        self.quick_home = os.path.join(self.folder, "quick home")
        environment = dict(os.environ, LTS_QUICKSTART_DIST=dist, LTS_QUICKSTART_HOME=self.quick_home)
        process = subprocess.Popen([SCRIPT, *args], env=environment, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)
        self.addCleanup(self.stop_daemons, dist)
        return process

    def stop_daemons(self, dist):
        for daemon in ("tasktracker", "jobtracker"):
            subprocess.run([os.path.join(dist, "bin", daemon + ".sh"), "quick", "stop"], check=False,
                           env=dict(os.environ, LTS_HOME=self.quick_home), capture_output=True)

    def running(self):
        return glob.glob(os.path.join(self.quick_home, "pid", "*.pid"))

    def test_on_a_cluster_it_kills_a_jobtracker_and_every_job_succeeds(self):
        process = self.start("--cluster")
        out = process.communicate(timeout=240)[0]
        self.assertEqual(process.returncode, 0, out)
        self.assertRegex(out, r"kill -9 of JobTracker zoo2?, which owns partition \d+")
        self.assertRegex(out, r"all \d+ jobs and \d+ runs of the cron job succeeded")
        lines = [line for line in out.splitlines() if "  attempt " in line]
        once = [line for line in lines if not line.startswith("every-two-seconds ")]
        self.assertEqual(len({line.split()[0] for line in once}), len(once))
        self.assertIn(f"nothing was lost: each of the {len(once)} jobs has one attempt, which succeeded", out)
        self.assertGreater(len(lines), 10)
        for line in lines:
            self.assertTrue(line.endswith(" EXECUTE_SUCCESS"), line)
        self.assertEqual(self.running(), [])

    def test_every_job_is_shown_with_its_outcome_and_nothing_stays(self):
        for _ in range(2):  # it can be run again
            process = self.start()
            out = process.communicate(timeout=120)[0]
            self.assertEqual(process.returncode, 0, out)
            lines = [line for line in out.splitlines() if "  attempt " in line]
            for line in lines:
                self.assertTrue(line.endswith(" EXECUTE_SUCCESS"), line)
            for file in os.listdir("/usr/share/common-licenses"):
                if os.path.isfile(os.path.join("/usr/share/common-licenses", file)):
                    with open(os.path.join("/usr/share/common-licenses", file), encoding="utf-8") as text:
                        count = len(text.read().split())
                    wanted = f"count-{file}  attempt 1  "
                    self.assertEqual([line.split()[-2] for line in lines if line.startswith(wanted)], [f"words={count}"])
            self.assertEqual(len([line for line in lines if line.startswith("in-three-seconds ")]), 1)
            self.assertGreaterEqual(len([line for line in lines if line.startswith("every-two-seconds ")]), 3)
            self.assertEqual(self.running(), [])

    def test_keep_leaves_the_daemons_up(self):
        process = self.start("--keep")
        out = process.communicate(timeout=120)[0]
        self.assertEqual(process.returncode, 0, out)
        for daemon in ("tasktracker", "jobtracker"):
            subprocess.run([os.path.join(harness.TREE, "bin", daemon + ".sh"), "quick", "status"], check=True,
                           env=dict(os.environ, LTS_HOME=self.quick_home), capture_output=True)

    def test_an_interrupt_stops_everything(self):
        process = self.start(start_new_session=True)
        for line in process.stdout:
            if "waiting for" in line:
                break
        self.assertTrue(self.running())
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        out = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 130, out)
        self.assertEqual(self.running(), [])

    def fails_with(self, client_text):
        """What it prints with this client before the real one; it must fail."""
        dist = os.path.join(self.folder, "dist")
        shutil.copytree(harness.TREE, dist, symlinks=True)
        client = os.path.join(dist, "bin", "jobclient")
        os.rename(client, client + ".real")
        with open(client, "w", encoding="utf-8") as file:
            file.write(client_text)
        os.chmod(client, 0o755)
        process = self.start(dist=dist)
        out = process.communicate(timeout=240)[0]
        self.assertEqual(process.returncode, 1, out)
        self.assertEqual(self.running(), [])
        return out

    def test_a_job_that_does_not_succeed_makes_it_fail(self):
        self.assertIn("2 jobs did not succeed", self.fails_with(LOSING_CLIENT))

    def test_a_job_that_ran_twice_makes_it_fail(self):
        self.assertIn("1 jobs have more than one attempt", self.fails_with(REPEATING_CLIENT))


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
