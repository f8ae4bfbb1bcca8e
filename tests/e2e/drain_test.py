"""A TaskTracker that is drained: it takes nothing new, what runs may end, and what does not is handed back at once. No job
is lost, none runs twice at a time."""

import os
import signal
import time

import harness


class Drain(harness.EndToEnd):
    def held(self, home, task, *args):
        """A job that waits for the gate, and runs now."""
        job_id = self.submit(home, task, "--runner", "journal", "--param", "hold_ms=600000", *args)["jobId"]
        harness.wait_until(lambda: self.runs(home, job_id, "start") == 1, f"{task} does not start")
        return job_id

    def runs(self, home, job_id, word):
        return sum(1 for line in home.read("journal").splitlines()
                   if line.split()[0] == job_id and line.split()[-1] == word)

    def outcomes(self, home, job_id):
        return [row["outcome"] for row in self.view(home, job_id)["attempts"]]

    def second(self, home):
        """Another TaskTracker of the group, with the same runners."""
        home.set("conf/second.cfg", **{line.split("=", 1)[0].replace(".", "__"): line.split("=", 1)[1]
                                       for line in home.read("conf/tasktracker.cfg").splitlines()
                                       if "=" in line and not line.startswith("#")})
        self.ok(home.tasktracker("start", "conf/second.cfg"))
        self.connected(home, "conf/second.cfg")

    def test_what_runs_ends_by_itself_and_nothing_new_begins(self):
        home = self.started()
        runs = self.held(home, "runs")
        drained = self.ok(home.tasktracker("drain"))
        self.assertIn("draining until", drained.out)
        states = lambda: [row["state"] for row in self.ok(home.cli("nodes", "-o", "json")).json()  # noqa: E731
                          if row["nodeType"] == "TASK_TRACKER"]
        harness.wait_until(lambda: states() == ["DRAINING"], "nodes does not show that it drains")
        status = home.tasktracker("status")
        self.assertEqual(status.code, 4, str(status))
        self.assertIn("draining", status.out)
        code, page = home.get("tasktracker", "tasktracker", "/readyz")
        self.assertEqual(code, 503)
        self.assertIn("draining: no new jobs are taken, jobs running: 1", page)
        self.assertIn('"ready":false', home.read("pid/tasktracker-tasktracker.json"))
        waits = [self.act(home, f"waits-{n}", "success")["jobId"] for n in range(5)]
        self.ok(home.tasktracker("drain"))
        self.assertEqual(self.view(home, runs)["state"], "RUNNING")
        home.open_gate()
        self.wait_state(home, runs, "SUCCEEDED")
        harness.wait_until(lambda: home.tasktracker("status").code == 3, "it does not end")
        self.assertEqual(self.runs(home, runs, "start"), 1)
        self.assertEqual([self.view(home, job)["state"] for job in waits], ["WAITING"] * 5)
        self.ok(home.tasktracker("start"))
        for job in waits:
            self.assertEqual(self.outcomes(home, job) if self.wait_state(home, job, "SUCCEEDED") else [],
                             ["EXECUTE_SUCCESS"])

    def test_at_its_limit_what_runs_is_handed_back_and_runs_elsewhere(self):
        home = self.started(tasktracker={"tasktracker__drain__timeout": "1s", "kill__grace": "500ms"},
                            jobtracker={"job__max__lost__times": "1", "tasktracker__lease": "60s"})
        jobs = [self.held(home, f"runs-{n}") for n in range(3)]
        self.second(home)
        begun = time.monotonic()
        self.ok(home.tasktracker("drain", env={"LTS_DRAIN_WAIT_S": str(int(harness.DEADLINE_S))}))
        for job in jobs:
            harness.wait_until(lambda job=job: self.runs(home, job, "start") == 2, f"{job} is not run again")
        # Nobody has waited for the end of its lease.
        self.assertLess(time.monotonic() - begun, 50)
        home.open_gate()
        for job in jobs:
            view = self.wait_state(home, job, "SUCCEEDED", "DEAD", "FAILED")
            self.assertEqual(view["state"], "SUCCEEDED", view)
            self.assertEqual([row["outcome"] for row in view["attempts"]], ["EXECUTE_SUCCESS", "KILLED"])
            # The first had ended before the second began.
            lines = [line.split()[-1] for line in home.read("journal").splitlines() if line.split()[0] == job]
            self.assertEqual(lines, ["start", "end", "start", "end"])

    def test_handing_back_again_and_again_does_not_make_a_job_dead(self):
        home = self.started(tasktracker={"tasktracker__drain__timeout": "0s", "kill__grace": "500ms"},
                            jobtracker={"job__max__lost__times": "2"})
        job = self.held(home, "runs")
        for n in range(2, 6):
            self.ok(home.tasktracker("drain", env={"LTS_DRAIN_WAIT_S": str(int(harness.DEADLINE_S))}))
            self.ok(home.tasktracker("start"))
            harness.wait_until(lambda n=n: self.runs(home, job, "start") == n, "it is not run again")
        home.open_gate()
        view = self.wait_state(home, job, "SUCCEEDED", "DEAD", "FAILED")
        self.assertEqual([row["outcome"] for row in view["attempts"]], ["EXECUTE_SUCCESS"] + ["KILLED"] * 4, view)

    def test_a_stop_ends_a_drain_sooner(self):
        home = self.started(tasktracker={"tasktracker__drain__timeout": "10m", "tasktracker__stop__timeout": "200ms",
                                         "kill__grace": "500ms"})
        job = self.held(home, "runs")
        self.ok(home.tasktracker("drain"))
        self.ok(home.tasktracker("stop"))
        self.assertEqual(self.outcomes(home, job), ["KILLED"])
        self.assertEqual(self.view(home, job)["state"], "WAITING")

    def test_sigterm_waits_for_its_own_limit_and_hands_back(self):
        home = self.started(tasktracker={"tasktracker__stop__timeout": "500ms", "kill__grace": "500ms"})
        job = self.held(home, "runs")
        pid = home.pid("tasktracker", "tasktracker")
        os.kill(pid, signal.SIGTERM)
        harness.wait_until(lambda: home.tasktracker("status").code == 3, "it does not end")
        self.assertEqual(self.outcomes(home, job), ["KILLED"])

    def test_under_load_each_job_is_done_once(self):
        home = self.started(tasktracker={"workThreads": "4"})
        self.second(home)
        jobs = "".join(f'{{"taskId":"load-{n}","taskTrackerNodeGroup":"demo","runner":"journal","params":{{"hold_ms":"5"}}}}\n'
                       for n in range(400))
        receipts = self.ok(home.cli("submit", "--file", "-", "-o", "json", stdin=jobs)).json()
        self.ok(home.tasktracker("drain", env={"LTS_DRAIN_WAIT_S": str(int(harness.DEADLINE_S))}))
        ids = [row["jobId"] for row in receipts]
        self.assertEqual(len(ids), 400)

        def ended():
            return sum(1 for line in home.read("journal").splitlines() if line.endswith(" end")) >= 400
        harness.wait_until(ended, "not all of them have ended")
        starts = [line.split()[0] for line in home.read("journal").splitlines() if line.endswith(" start")]
        self.assertEqual(sorted(starts), sorted(ids))
        for job in ids[:20]:
            self.wait_state(home, job, "SUCCEEDED")


if __name__ == "__main__":
    harness.main()
