"""kill -9 of the JobTracker at 20 seeded moments of submission, with 10,000 jobs waiting and 20 running, then of the
TaskTracker, five times. What it must leave behind, check.py says; with the token check of the JobTracker switched off
it must find a violation.
"""

import datetime
import os
import random
import signal
import subprocess
import sys
import time

import check
import harness

JOBTRACKER_KILLS = 20
TASKTRACKER_KILLS = 5
SCHEDULE_KILLS = 5
WAITING = 10_000
RUNNING = 20
SUBMITTER = os.path.join(harness.PROGRAMS, "lts_e2e_submitter")


class Follower:
    """Counts what the journal holds, reading only what was added since it looked last."""

    def __init__(self, path):
        self.path, self.position = path, 0
        self.open, self.started, self.starts = set(), set(), 0

    def look(self):
        with open(self.path, "rb") as file:
            file.seek(self.position)
            text = file.read()
        whole = text[:text.rfind(b"\n") + 1]
        self.position += len(whole)
        for line in whole.decode().splitlines():
            job_id, token, what = line.split()
            if what == "start":
                self.open.add((job_id, token))
                self.started.add(job_id)
                self.starts += 1
            elif what == "end":
                self.open.discard((job_id, token))
            elif what == "killed":
                self.open.clear()
        return self


class Kill(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        self.random = random.Random(harness.SEED)

    def submitter(self, home, prefix, *args, answers="answers"):
        return home.background(SUBMITTER, "--registry", home.registry, "--group", "demo", "--prefix", prefix, "--answers",
                               home.path(answers), *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def finish(self, submitter):
        """SIGTERM, and what it began is answered."""
        submitter.terminate()
        self.assertRegex(harness.lines_of(submitter.stdout, 1)[0], "^DONE ")

    def close(self, submitter):
        submitter.communicate(timeout=harness.DEADLINE_S)
        self.assertEqual(submitter.returncode, 0)

    def mark(self, home, what):
        with open(home.path("journal"), "ab", buffering=0) as file:
            file.write(f"- - {what}\n".encode())

    def kill(self, home, daemon, name):
        pid = home.pid(daemon, name)
        os.kill(pid, signal.SIGKILL)
        harness.wait_until(lambda: not harness.alive(pid), "it survives kill -9")

    def attempts(self, home):
        return self.ok(home.cli("attempts", "--group", "demo", "--all", "-o", "json", timeout=300)).json()

    def verdict(self, home):
        return check.check(home.read("answers"), home.read("journal"), self.attempts(home))

    def fate(self, limit_s):
        """A seeded moment: how long to let things run on before the next kill."""
        time.sleep(self.random.uniform(0, limit_s))

    def test_nothing_is_lost_and_nothing_runs_twice(self):
        home = self.started(jobtracker={"job__max__lost__times": 100}, tasktracker={"workThreads": RUNNING})
        backlog = self.submitter(home, "backlog", "--count", WAITING + 2000, "--batch", 500, "--hold-ms", 3000)
        self.assertRegex(harness.lines_of(backlog.stdout, 1)[0], "^DONE ")
        self.close(backlog)
        submitters = [
            self.submitter(home, "stored", "--store", home.path("client"), "--batch", 10, "--pause-ms", 50, "--hold-ms",
                           3000),
            self.submitter(home, "again", "--batch", 10, "--pause-ms", 50, "--hold-ms", 3000),
            # One task, over and over: its runs follow each other.
            self.submitter(home, "same", "--batch", 1, "--pause-ms", 100, "--hold-ms", 300, "--task", "same task",
                           "--priority", 1),
        ]
        journal = Follower(home.path("journal"))
        answers = home.path("answers")

        for kill in range(JOBTRACKER_KILLS):
            size = os.path.getsize(answers)
            harness.wait_until(lambda: os.path.getsize(answers) > size, "nothing is answered any more")
            self.fate(0.8)
            harness.wait_until(lambda: len(journal.look().open) >= RUNNING,
                               lambda: f"{len(journal.open)} jobs run, not {RUNNING}")
            waiting = len(home.read("answers").splitlines()) - journal.starts
            self.assertGreaterEqual(waiting, WAITING)
            self.kill(home, "jobtracker", "standalone")
            self.ok(home.jobtracker("start"))
            print(f"JobTracker killed {kill + 1} times, about {waiting} waiting", file=sys.stderr)
        self.assertEqual(home.out("jobtracker", "standalone").count("READY"), JOBTRACKER_KILLS + 1)
        ran_before = journal.look().starts

        for kill in range(TASKTRACKER_KILLS):
            harness.wait_until(lambda: len(journal.look().open) >= RUNNING,
                               lambda: f"{len(journal.open)} jobs run, not {RUNNING}")
            self.fate(0.5)
            self.kill(home, "tasktracker", "tasktracker")
            self.mark(home, "killed")
            self.connected(home)
            print(f"TaskTracker killed {kill + 1} times", file=sys.stderr)
        self.assertGreater(journal.look().starts, ran_before)

        for submitter in submitters:
            self.finish(submitter)
        home.open_gate()
        answered = {line.split()[0] for line in home.read("answers").splitlines()}
        harness.wait_until(lambda: len(answered - journal.look().started) == 0,
                           lambda: f"{len(answered - journal.started)} answered jobs were never started", 300, 0.2)
        harness.wait_until(lambda: not journal.look().open, lambda: f"still run: {journal.open}", 60)
        harness.wait_until(lambda: not [job for state in ("WAITING", "RUNNING") for job in self.ok(
            home.cli("list", "--group", "demo", "--state", state, "--limit", 1, "-o", "json")).json()],
            "jobs that have not ended", 60, 0.2)
        for submitter in submitters:
            self.close(submitter)
        print(f"{len(answered)} jobs answered, {journal.starts} started", file=sys.stderr)
        self.assertEqual(self.verdict(home), [])

    def test_each_fire_of_a_schedule_is_accounted_for_once(self):
        home = self.started()
        job = self.submit(home, "tick", "--runner", "journal", "--cron", "* * * * * ?")

        def rows():
            return self.ok(home.cli("attempts", "--group", "demo", "--task", "tick", "--all", "-o", "json")).json()

        for kill in range(SCHEDULE_KILLS):
            before = len(rows())
            harness.wait_until(lambda: len(rows()) > before, "it fires no more", None, 0.1)
            self.fate(1)
            self.kill(home, "jobtracker", "standalone")
            self.ok(home.jobtracker("start"))
        harness.wait_until(lambda: len(rows()) > before + 1, "it fires no more", None, 0.1)
        self.ok(home.cli("cancel", job["jobId"]))
        self.wait_state(home, job["jobId"], "ENDED")
        seconds = []
        for row in rows():
            first = self.second(row["cycle"])
            if row["skipped"]:
                seconds += range(first, self.second(row["skippedLast"]) + 1)
                self.assertTrue(row["message"], row)
            else:
                seconds.append(first)
        self.assertEqual(sorted(seconds), list(range(min(seconds), max(seconds) + 1)))
        starts = [line for line in home.read("journal").splitlines() if line.endswith(" start")]
        self.assertEqual(len(starts), len(set(starts)))

    def second(self, text):
        self.assertTrue(text.endswith(".000Z"), text)
        return int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.000Z").replace(
            tzinfo=datetime.timezone.utc).timestamp())

    def paused_past_its_lease(self, env):
        """A TaskTracker is stopped by SIGSTOP for longer than its lease, its job runs again elsewhere; meanwhile it wakes
        and reports its own end. Gives the checker's verdict."""
        home = self.home()
        home.use_test_runners()
        home.env.update(env)
        home.set("conf/standalone/jobtracker.cfg", tasktracker__lease="1s", kill__grace="0s")
        home.set("conf/tasktracker.cfg", workThreads=1)
        self.ok(home.jobtracker("start"))
        os.makedirs(home.path("conf/second"))
        with open(home.path("conf/second/tasktracker.cfg"), "w", encoding="utf-8") as file:
            file.write(home.read("conf/tasktracker.cfg"))
        self.ok(home.tasktracker("start"))
        self.connected(home)
        journal = Follower(home.path("journal"))

        # The first run's hold passes while it is paused: on waking it ends at once. The second one waits for the gate.
        home.set("conf/second/tasktracker.cfg", runner__journal__hold_ms=600_000)
        once = self.submitter(home, "paused", "--count", 1, "--hold-ms", 2000, "--deaf")
        self.assertRegex(harness.lines_of(once.stdout, 1)[0], "^DONE 1")
        self.close(once)
        harness.wait_until(lambda: journal.look().starts == 1, "the job does not start")
        paused = home.pid("tasktracker", "tasktracker")
        os.kill(paused, signal.SIGSTOP)
        stopped_at = time.monotonic()
        job_id = home.read("answers").split()[0]
        harness.wait_until(lambda: [row for row in self.view(home, job_id)["attempts"] if row["outcome"] == "LOST"],
                           "a paused TaskTracker is not given up")
        self.mark(home, "cut-off")
        self.ok(home.tasktracker("start", "second"))
        self.connected(home, "second")
        harness.wait_until(lambda: journal.look().starts == 2, "the job is not run again")
        harness.wait_until(lambda: time.monotonic() - stopped_at > 2, "time stands still")
        os.kill(paused, signal.SIGCONT)
        harness.wait_until(lambda: len(journal.look().open) <= 1, "the paused run does not end")
        # Its report has been judged: it was counted as stale, or it has ended the job.
        harness.wait_until(lambda: self.metric(home, "lts_results_stale_total") > 0
                           or self.view(home, job_id)["state"] != "RUNNING", "the report does not come")
        home.open_gate()
        self.wait_state(home, job_id, "SUCCEEDED")
        harness.wait_until(lambda: not journal.look().open, "the second run does not end")
        return self.verdict(home)

    def metric(self, home, name):
        """The sum over all labels."""
        _, text = home.get("jobtracker", "standalone", "/metrics")
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith((name + "{", name + " ")))

    def test_a_stale_result_does_not_count(self):
        self.assertEqual(self.paused_past_its_lease({}), [])

    def test_the_checker_finds_stale_results_when_the_token_check_is_off(self):
        self.assertNotEqual(self.paused_past_its_lease({"LTS_TEST_FAULTS": "no_token_check"}), [])


if __name__ == "__main__":
    harness.main()
