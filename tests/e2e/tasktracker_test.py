"""What a TaskTracker does by its own options."""

import harness


class Routing(harness.EndToEnd):
    def end(self, home, task, *args):
        job_id = self.submit(home, task, "--retries", "0", *args)["jobId"]
        [attempt] = self.wait_state(home, job_id, "SUCCEEDED", "FAILED")["attempts"]
        return attempt["outcome"], attempt["message"]

    def test_a_parameter_chooses_among_runners_and_plugins(self):
        home = self.started(tasktracker={"shardField": "kind", "shard__write": "journal", "shard___LTS_DEFAULT": "act",
                                         "runner__exec__allow": "/usr/bin/true"})
        cases = ((("kind=write",), "EXECUTE_SUCCESS", "token="), (("kind=act", "action=failed"), "EXECUTE_FAILED", ""),
                 (("kind=word_count",), "EXECUTE_FAILED", "file"), (("kind=exec", "program=/usr/bin/true"), "EXECUTE_SUCCESS", ""),
                 (("kind=other", "action=failed"), "EXECUTE_FAILED", ""), (("action=failed",), "EXECUTE_FAILED", ""))
        for n, (params, outcome, text) in enumerate(cases):
            with self.subTest(params):
                ended = self.end(home, f"routed-{n}", *[arg for pair in params for arg in ("--param", pair)])
                self.assertEqual(ended[0], outcome, ended)
                self.assertIn(text, ended[1])
        # What the job itself names comes first.
        self.assertIn("token=", self.end(home, "named", "--runner", "journal", "--param", "kind=act")[1])

    def test_a_value_without_a_runner_is_told(self):
        home = self.started(tasktracker={"shardField": "taskId"})
        outcome, message = self.end(home, "nosuch")
        self.assertEqual(outcome, "EXECUTE_EXCEPTION")
        self.assertIn("taskId=nosuch (shardField)", message)
        self.assertIn("journal", message)

    def test_a_shard_of_no_runner_refuses_the_start(self):
        home = self.home()
        home.set("conf/tasktracker.cfg", shardField="kind", shard__a="nosuch")
        self.assertIn("shard.a=nosuch", self.ok(home.tasktracker("start"), 1).err)


class Resources(harness.EndToEnd):
    def test_a_host_without_room_takes_no_new_jobs_and_says_why(self):
        # A ten-thousandth of the memory is always in use.
        home = self.started(tasktracker={"lb__machine__res__check__enable": "true", "lb__memoryUsedRate__max": "0.0001"})
        job = self.submit(home, "waits", "--runner", "journal")["jobId"]
        code, page = home.get("tasktracker", "tasktracker", "/readyz")
        self.assertEqual(code, 503)
        self.assertIn("no new jobs are taken: memory in use", page)
        self.assertIn("lb.memoryUsedRate.max", page)
        _, metrics = home.get("tasktracker", "tasktracker", "/metrics")
        self.assertIn("lts_tasktracker_gate_closed 1", metrics)
        self.assertIn('lts_limit_refused_total{limit="lb.memoryUsedRate.max"} 1', metrics)
        self.assertIn("the host has no room", home.out("tasktracker", "tasktracker"))
        self.assertEqual(home.tasktracker("status").code, 0)
        self.assertEqual(self.view(home, job)["state"], "WAITING")
        home.set("conf/tasktracker.cfg", lb__memoryUsedRate__max="99.99", lb__cpuUsedRate__max="100")
        self.ok(home.tasktracker("restart"))
        self.wait_state(home, job, "SUCCEEDED")
        self.connected(home)
        self.assertEqual(home.get("tasktracker", "tasktracker", "/readyz")[0], 200)


class Stuck(harness.EndToEnd):
    def test_a_thread_that_does_not_stop_keeps_its_slot_and_is_shown(self):
        home = self.started(tasktracker={"runner__isolation": "thread", "workThreads": "1", "kill__grace": "200ms"})
        deaf = self.submit(home, "deaf", "--runner", "journal", "--param", "deaf=1", "--param", "hold_ms=600000")["jobId"]
        harness.wait_until(lambda: home.read("journal").count(" start") == 1, "it does not start")
        waits = self.submit(home, "waits", "--runner", "journal")["jobId"]
        self.ok(home.cli("cancel", deaf))

        def shown():
            return [row["progressText"] for row in self.view(home, deaf)["attempts"] if "STUCK" in row["progressText"]]
        [text] = harness.wait_until(shown, "it is not shown")
        self.assertRegex(text, r"^STUCK: told to stop \d+ s ago \(stopped by the JobTracker\)")
        _, metrics = home.get("tasktracker", "tasktracker", "/metrics")
        self.assertIn("lts_tasktracker_stuck 1", metrics)
        self.assertEqual(self.view(home, waits)["state"], "WAITING")
        home.open_gate()
        self.wait_state(home, waits, "SUCCEEDED")
        self.assertIn(self.wait_state(home, deaf, "SUCCEEDED", "CANCELLED")["state"], ("SUCCEEDED", "CANCELLED"))


if __name__ == "__main__":
    harness.main()
