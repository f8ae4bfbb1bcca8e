"""Runners in processes of their own: whatever one does costs its attempt only, and nothing is left of it. The TaskTracker
is the real one, with its shipped configuration and the tests' plugins."""

import os
import signal

import harness


class Isolation(harness.EndToEnd):
    def started_with(self, **tasktracker):
        return self.started(tasktracker={"kill__grace": "500ms", **tasktracker})

    def harm(self, home, task, action, *args, **params):
        return self.act(home, task, action, "--retries", "0", *args, **params)["jobId"]

    def lines(self, home, job_id):
        return [row["message"] for row in self.ok(home.cli("logs", job_id, "-o", "json")).json()]

    def wait_line(self, home, job_id, word):
        """Waits for a line of the business log that begins so; gives the rest of each."""
        def look():
            return [line[len(word):] for line in self.lines(home, job_id) if line.startswith(word)]
        return harness.wait_until(look, f"no line {word!r} of {job_id}")

    def only(self, home, job_id, state):
        view = self.wait_state(home, job_id, "SUCCEEDED", "FAILED", "DEAD", "CANCELLED")
        self.assertEqual(view["state"], state, view)
        [attempt] = view["attempts"]
        return attempt

    def test_whatever_a_runner_does_costs_its_attempt_only(self):
        home = self.started_with(runner__act__limit__memory="512MiB")
        tracker = home.pid("tasktracker", "tasktracker")
        beside = self.submit(home, "beside", "--runner", "journal", "--param", "hold_ms=600000")["jobId"]
        harness.wait_until(lambda: home.read("journal").count(" start") == 1, "the job beside does not start")
        cases = (("abort", (), "EXECUTE_EXCEPTION", "SIGABRT"), ("exit", (), "EXECUTE_EXCEPTION", "exit status 3"),
                 ("segfault", (), "EXECUTE_EXCEPTION", "SIG"), ("allocate", (), "EXECUTE_EXCEPTION", "limit.memory"),
                 ("loop", ("--timeout", "300ms"), "TIMED_OUT", "did not stop"))
        jobs = [(self.harm(home, f"harm-{action}", action, *args), outcome, text) for action, args, outcome, text in cases]
        for job_id, outcome, text in jobs:
            with self.subTest(text):
                attempt = self.only(home, job_id, "FAILED")
                self.assertEqual(attempt["outcome"], outcome, attempt)
                self.assertIn(text, attempt["message"])
        home.open_gate()
        self.assertEqual(self.only(home, beside, "SUCCEEDED")["outcome"], "EXECUTE_SUCCESS")
        self.wait_state(home, self.act(home, "good", "success")["jobId"], "SUCCEEDED")
        self.assertEqual(home.pid("tasktracker", "tasktracker"), tracker)
        self.assertTrue(harness.alive(tracker))
        _, metrics = home.get("tasktracker", "tasktracker", "/metrics")
        self.assertIn("lts_tasktracker_stuck 0", metrics)

    def test_a_cancel_kills_what_does_not_listen_and_all_that_it_has_started(self):
        home = self.started_with()
        job_id = self.harm(home, "deaf", "children")
        [me] = self.wait_line(home, job_id, "pid ")
        harness.wait_until(lambda: len(self.wait_line(home, job_id, "child ")) == 2, "not two children")
        pids = [int(pid) for pid in [me, *self.wait_line(home, job_id, "child ")]]
        self.assertTrue(all(map(harness.alive, pids)))
        self.ok(home.cli("cancel", job_id))
        harness.wait_until(lambda: not any(map(harness.alive, pids)), "they live on")
        view = self.wait_state(home, job_id, "CANCELLED")
        self.assertEqual([row["outcome"] for row in view["attempts"]], ["KILLED"])

    def test_nothing_is_left_when_the_tasktracker_is_killed(self):
        shell = os.path.realpath("/bin/sh")
        home = self.started_with(runner__exec__allow=shell, tasktracker__stop__timeout="200ms")
        script = "setsid sleep 1000 & echo child $!; sleep 1001 & echo child $!; echo pid $$; wait"
        jobs = [self.submit(home, "program", "--runner", "exec", "--param", f"program={shell}", "--param", "arg.0=-c",
                            "--param", f"arg.1={script}")["jobId"], self.harm(home, "plugin", "children")]
        pids = []
        for job_id in jobs:
            pids += [int(pid) for pid in self.wait_line(home, job_id, "pid ")]
            harness.wait_until(lambda job_id=job_id: len(self.wait_line(home, job_id, "child ")) == 2, "not two children")
            pids += [int(pid) for pid in self.wait_line(home, job_id, "child ")]
        self.assertEqual(len(pids), 6)
        self.assertTrue(all(map(harness.alive, pids)))
        os.kill(home.pid("tasktracker", "tasktracker"), signal.SIGKILL)
        # Its script has started it again: before it is there, nothing is left of the one before.
        self.connected(home)
        self.assertEqual([pid for pid in pids if harness.alive(pid)], [])
        # What was lost runs again; the programs do not carry the mark of the test's processes.
        self.ok(home.tasktracker("stop"))

    def test_a_paused_tasktracker_does_not_keep_its_jobs_beyond_the_lease(self):
        home = self.started(jobtracker={"tasktracker__lease": "2s"}, tasktracker={"kill__grace": "500ms"})
        job_id = self.harm(home, "loops", "loop")
        [pid] = map(int, self.wait_line(home, job_id, "pid "))
        tracker = home.pid("tasktracker", "tasktracker")
        os.kill(tracker, signal.SIGSTOP)
        try:
            harness.wait_until(lambda: not harness.alive(pid), "it runs on though nobody holds the lease")
            self.assertTrue(harness.alive(tracker))
        finally:
            os.kill(tracker, signal.SIGCONT)

    def test_an_orderly_stop_ends_what_does_not_listen(self):
        home = self.started_with(tasktracker__stop__timeout="200ms")
        job_id = self.harm(home, "loops", "loop")
        [pid] = map(int, self.wait_line(home, job_id, "pid "))
        self.ok(home.tasktracker("stop"))
        self.assertFalse(harness.alive(pid))
        self.assertNotIn("are cut off", home.out("tasktracker", "tasktracker"))
        attempts = self.view(home, job_id)["attempts"]
        self.assertEqual([row["outcome"] for row in attempts], ["KILLED"], attempts)

    def test_a_healthy_host_is_used_again_and_ends_with_the_tasktracker(self):
        home = self.started_with()
        pids = set()
        for n in range(3):
            job = self.act(home, f"pid-{n}", "pid")
            pids.add(self.wait_state(home, job["jobId"], "SUCCEEDED")["attempts"][0]["message"])
        self.assertEqual(len(pids), 1)
        pid = int(pids.pop())
        self.assertNotEqual(pid, home.pid("tasktracker", "tasktracker"))
        self.assertTrue(harness.alive(pid))
        self.ok(home.tasktracker("stop"))
        self.assertFalse(harness.alive(pid))

    def test_what_a_runner_prints_is_in_the_business_log(self):
        home = self.started_with()
        job = self.act(home, "prints", "print")
        self.wait_state(home, job["jobId"], "SUCCEEDED")
        self.wait_line(home, job["jobId"], "printed by the runner")

    def test_without_the_host_program_the_start_is_refused_with_a_way_out(self):
        home = self.home()
        os.remove(home.path("bin/lts-runner-host"))
        refused = home.tasktracker("start")
        self.ok(refused, 1)
        self.assertIn("runner.isolation=thread", refused.err)
        home.set("conf/tasktracker.cfg", runner__isolation="thread")
        self.ok(home.tasktracker("start"))


if __name__ == "__main__":
    harness.main()
