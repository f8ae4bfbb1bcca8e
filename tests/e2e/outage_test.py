"""The JobTracker is away: nothing is lost, nothing runs twice, the order is kept."""

import os
import subprocess

import harness


class Outage(harness.EndToEnd):
    def test_stored_jobs_and_results_survive_the_kill_of_all(self):
        home = self.started(tasktracker={"workThreads": 20})
        running = self.submitter(home, "--prefix", "running", "--count", 20, "--hold-ms", 600_000)
        self.assertEqual(harness.lines_of(running.stdout, 1), ["DONE 20\n"])
        running.communicate(timeout=harness.DEADLINE_S)
        harness.wait_until(lambda: home.read("journal").count("start\n") == 20, "20 jobs do not run")

        self.kill(home.pid("jobtracker", "standalone"))
        stored = self.submitter(home, "--prefix", "stored", "--count", 1000, "--batch", 50, "--store", home.path("client"))
        self.assertEqual(harness.lines_of(stored.stdout, 1), ["DONE 1000\n"])
        answers = [line.split() for line in home.read("answers").splitlines()[20:]]
        self.assertEqual({outcome for _, _, outcome in answers}, {"STORED"})
        # The 20 running ones end, and nobody can be told.
        home.open_gate()
        harness.wait_until(lambda: home.read("journal").count("end\n") == 20, "the running jobs do not end")
        harness.wait_until(lambda: self.kept_records(home) >= 20, lambda: f"{self.kept_records(home)} results are stored")
        self.kill(stored.pid)
        stored.communicate()
        supervisor = int(home.read("pid/tasktracker-tasktracker.supervisor"))
        self.kill(supervisor)
        self.kill(home.pid("tasktracker", "tasktracker"))

        # One slot: the order of running is the order of dispatch.
        home.set("conf/tasktracker.cfg", workThreads=1)
        self.ok(home.jobtracker("start"))
        self.ok(home.tasktracker("start"))
        again = self.submitter(home, "--prefix", "late", "--count", 1, "--store", home.path("client"))
        self.assertEqual(harness.lines_of(again.stdout, 1), ["DONE 1\n"])
        harness.wait_until(lambda: home.read("journal").count("end\n") >= 1021,
                           lambda: f"{home.read('journal').count('end' + chr(10))} runs have ended")
        harness.wait_until(lambda: len(self.ended(home)) >= 1021, lambda: f"{len(self.ended(home))} jobs have ended")
        again.communicate(timeout=harness.DEADLINE_S)

        ended = self.ended(home)
        self.assertEqual(len(ended), 1021)
        self.assertEqual({row["outcome"] for row in ended}, {"EXECUTE_SUCCESS"})
        self.assertEqual({row["attempt"] for row in ended}, {1})
        expected = [job_id for job_id, _, _ in (line.split() for line in home.read("answers").splitlines())]
        self.assertEqual({row["jobId"] for row in ended}, set(expected))
        starts = [line.split()[0] for line in home.read("journal").splitlines() if line.endswith(" start")]
        self.assertEqual(len(starts), len(set(starts)), "a job ran twice")
        stored_ids = [job_id for job_id, _, _ in answers]
        self.assertEqual([job_id for job_id in starts if job_id in set(stored_ids)], stored_ids, "the submit order is lost")

    def ended(self, home):
        return [row for row in self.ok(home.cli("attempts", "--group", "demo", "--all", "-o", "json")).json()
                if row["outcome"] != "LOST"]

    def test_the_command_keeps_a_job_when_asked_to_and_the_agent_sends_it(self):
        home = self.home()
        home.use_test_runners()
        refused = home.cli("submit", "--group", "demo", "--task", "t", "--runner", "act", "--param", "action=success")
        self.ok(refused, 6)
        self.assertEqual(refused.out, "")
        self.assertIn(str(home.port), refused.err)
        kept = self.ok(home.cli("submit", "--group", "demo", "--task", "t", "--runner", "act", "--param", "action=success",
                                "--store", "--client-group", "shop", "-o", "json"))
        receipt = kept.json()[0]
        self.assertEqual(receipt["outcome"], "STORED")
        self.assertIn("agent", kept.err)
        agent = home.background(home.path("bin/jobclient"), "agent", "--client-group", "shop", stdout=subprocess.DEVNULL)
        self.ok(home.jobtracker("start"))
        self.ok(home.tasktracker("start"))
        harness.wait_until(lambda: home.cli("get", receipt["jobId"]).code == 0, "the agent does not send it")
        self.wait_state(home, receipt["jobId"], "SUCCEEDED")
        agent.terminate()
        agent.communicate(timeout=harness.DEADLINE_S)

    def test_what_a_jobtracker_refuses_for_good_is_parked_until_somebody_decides(self):
        home = self.home()
        home.use_test_runners()
        home.set("conf/jobclient.cfg", job__payload__max="512KiB")
        payload = home.path("payload")
        with open(payload, "wb") as file:
            file.write(os.urandom(100_000))

        def store(task, *args):
            kept = self.ok(home.cli("submit", "--group", "demo", "--task", task, "--runner", "journal", *args, "--store", "-o", "json"))
            return kept.json()[0]["jobId"]
        big = [store(f"big{i}", "--payload", payload) for i in range(2)]
        small = store("small")
        self.ok(home.jobtracker("start"))
        self.ok(home.tasktracker("start"))

        def send(*job_ids):
            agent = home.background(home.path("bin/jobclient"), "agent", stdout=subprocess.DEVNULL)
            for job_id in job_ids:
                harness.wait_until(lambda: home.cli("get", job_id).code == 0, f"{job_id} does not come")
                self.wait_state(home, job_id, "SUCCEEDED")
            agent.terminate()
            agent.communicate(timeout=harness.DEADLINE_S)
            return self.ok(home.cli("failstore", "list", "-o", "json")).json()
        left = send(small)
        self.assertEqual([row["jobId"] for row in left], big)
        for row in left:
            self.assertTrue(row["parked"], row)
            self.assertIn("job.payload.max", row["reason"])
        self.ok(home.cli("failstore", "drop", left[0]["id"]))
        home.set("conf/standalone/jobtracker.cfg", job__payload__max="512KiB")
        self.ok(home.jobtracker("restart"))
        self.assertEqual([row["jobId"] for row in send()], big[1:])  # not by itself
        self.ok(home.cli("failstore", "retry", "--all"))
        self.assertEqual(send(big[1]), [])
        self.assertEqual(home.cli("get", big[0]).code, 3)

    def test_a_tasktracker_started_first_connects_by_itself(self):
        home = self.home()
        home.use_test_runners()
        home.env["LTS_CONNECT_GRACE_S"] = "1"
        started = self.ok(home.tasktracker("start"))
        self.assertIn("not connected", started.err)
        self.assertEqual(home.tasktracker("status").code, 4)
        self.assertEqual(home.get("tasktracker", "tasktracker", "/healthz")[0], 200)
        code, reason = home.get("tasktracker", "tasktracker", "/readyz")
        self.assertEqual(code, 503, reason)
        self.assertTrue(reason.strip())
        self.ok(home.jobtracker("start"))
        self.connected(home)
        harness.wait_until(lambda: home.get("tasktracker", "tasktracker", "/readyz")[0] == 200, "not ready")
        self.wait_state(home, self.act(home, "t", "success")["jobId"], "SUCCEEDED")


if __name__ == "__main__":
    harness.main()
