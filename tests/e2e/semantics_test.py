"""Jobs through the command line: the four kinds, the four results, priorities, retries, replace, cancel, feedback, and what
the reading verbs answer. One cluster for all of it; each test has task ids of its own."""

import datetime
import json
import subprocess

import harness

TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


def instant(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)


class Results(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        self.lts = self.started(tasktracker={"bizLoggerLevel": "DEBUG"})

    def test_the_four_results(self):
        cases = (("success", "SUCCEEDED", "EXECUTE_SUCCESS"), ("failed", "FAILED", "EXECUTE_FAILED"),
                 ("later", "FAILED", "EXECUTE_LATER"), ("exception", "FAILED", "EXECUTE_EXCEPTION"),
                 ("throw", "FAILED", "EXECUTE_EXCEPTION"), ("throw_int", "FAILED", "EXECUTE_EXCEPTION"))
        for action, state, outcome in cases:
            with self.subTest(action):
                job = self.act(self.lts, f"r-{action}", action, message="words of the runner")
                view = self.wait_state(self.lts, job["jobId"], "SUCCEEDED", "FAILED", "DEAD")
                self.assertEqual(view["state"], state)
                [attempt] = view["attempts"]
                self.assertEqual(attempt["outcome"], outcome)
                self.assertEqual(attempt["attempt"], 1)
                self.assertRegex(attempt["token"], r"^\d+-\d+$")
                for name in ("dueAt", "startedAt", "endedAt"):
                    self.assertRegex(attempt[name], TIME)
                if action != "throw_int":
                    self.assertIn("words of the runner", attempt["message"])
                if action in ("later", "exception"):
                    self.assertIn("maxRetryTimes", attempt["message"])

    def test_retries_follow_the_policy_and_then_the_job_is_dead(self):
        job = self.act(self.lts, "dead", "exception", "--retries", "2", "--retry", "fixed:200ms")
        view = self.wait_state(self.lts, job["jobId"], "DEAD")
        self.assertEqual([row["attempt"] for row in view["attempts"]], [3, 2, 1])
        mended = self.act(self.lts, "mended", "throw", "--retries", "5", "--retry", "linear:50ms", times=2)
        view = self.wait_state(self.lts, mended["jobId"], "SUCCEEDED")
        self.assertEqual([row["outcome"] for row in view["attempts"]],
                         ["EXECUTE_SUCCESS", "EXECUTE_EXCEPTION", "EXECUTE_EXCEPTION"])
        for later, before in zip(view["attempts"], view["attempts"][1:]):
            self.assertGreaterEqual(instant(later["startedAt"]), instant(before["endedAt"]))

    def test_later_with_a_delay_is_no_retry(self):
        job = self.act(self.lts, "snooze", "later_ms:100", times=3)
        view = self.wait_state(self.lts, job["jobId"], "SUCCEEDED", "FAILED", "DEAD")
        self.assertEqual((view["state"], len(view["attempts"])), ("SUCCEEDED", 4))

    def test_wait_prints_the_message_and_tells_failure_from_a_time_out(self):
        wait = ["submit", "--group", "demo", "--runner", "act", "--wait"]
        done = self.ok(self.lts.cli(*wait, "--task", "w1", "--param", "action=success", "--param", "message=all is well"))
        self.assertEqual(done.out, "all is well\n")
        failed = self.ok(self.lts.cli(*wait, "--task", "w2", "--param", "action=failed", "--param", "message=no luck"), 8)
        self.assertEqual(failed.out, "no luck\n")
        hangs = self.act(self.lts, "w3", "wait")
        self.ok(self.lts.cli("wait", hangs["jobId"], "--timeout", "200ms"), 7)
        self.ok(self.lts.cli("cancel", hangs["jobId"]))
        self.ok(self.lts.cli("wait", hangs["jobId"]), 8)

    def test_a_time_limit_ends_an_attempt(self):
        job = self.act(self.lts, "limit", "wait", "--timeout", "300ms")
        view = self.wait_state(self.lts, job["jobId"], "FAILED", "DEAD")
        self.assertEqual(view["attempts"][0]["outcome"], "TIMED_OUT")

    def test_logs_of_an_attempt(self):
        job = self.act(self.lts, "logs", "success")
        self.wait_state(self.lts, job["jobId"], "SUCCEEDED")
        lines = {}

        def complete():
            lines["all"] = self.ok(self.lts.cli("logs", job["jobId"], "-o", "json")).json()
            return sum(line["message"].endswith("line") or "info line" in line["message"] for line in lines["all"]) == 4

        harness.wait_until(complete, lambda: f"four lines: {lines['all']}")
        written = [line for line in lines["all"] if "line" in line["message"]]
        self.assertEqual([line["level"] for line in written], ["DEBUG", "INFO", "WARN", "ERROR"])
        self.assertEqual({line["attempt"] for line in written}, {1})
        follow = self.ok(self.lts.cli("logs", job["jobId"], "-f"))
        self.assertIn("info line of attempt 1", follow.out)


class Kinds(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        self.lts = self.started()

    def test_a_real_time_job_runs_at_once(self):
        job = self.act(self.lts, "now", "success")
        self.assertEqual(job["outcome"], "ACCEPTED")
        self.assertEqual(job["taskId"], "now")
        self.assertEqual(job["taskTrackerNodeGroup"], "demo")
        self.assertRegex(job["jobId"], r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        self.assertEqual(self.wait_state(self.lts, job["jobId"], "SUCCEEDED")["type"], "REAL_TIME")

    def test_a_timed_job_runs_not_before_its_time(self):
        job = self.act(self.lts, "timed", "success", "--in", "1s")
        waiting = self.view(self.lts, job["jobId"])
        self.assertEqual((waiting["state"], waiting["type"]), ("WAITING", "TRIGGER_TIME"))
        due = instant(waiting["nextFireTime"])
        self.assertEqual(due - instant(waiting["acceptedAt"]), datetime.timedelta(seconds=1))
        ended = self.wait_state(self.lts, job["jobId"], "SUCCEEDED")
        self.assertGreaterEqual(instant(ended["attempts"][0]["startedAt"]), due)
        at = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        far = self.view(self.lts, self.act(self.lts, "far", "success", "--at", at)["jobId"])
        self.assertEqual(far["nextFireTime"], at.replace("Z", ".000Z"))

    def test_a_repeating_job_runs_so_many_times(self):
        job = self.act(self.lts, "repeat", "success", "--every", "1s", "--count", "3")
        self.assertEqual(self.view(self.lts, job["jobId"])["type"], "REPEAT")
        self.wait_state(self.lts, job["jobId"], "ENDED")
        ran = [row for row in self.attempts("repeat") if row["outcome"] == "EXECUTE_SUCCESS"]
        self.assertEqual(len({row["cycle"] for row in ran}), 3)

    def test_a_cron_job_fires_each_second_until_it_is_cancelled(self):
        job = self.act(self.lts, "cron", "success", "--cron", "* * * * * ?", "--tz", "Europe/Berlin")
        view = self.view(self.lts, job["jobId"])
        self.assertEqual((view["state"], view["type"], view["schedule"]), ("ACTIVE", "CRON", True))
        self.assertRegex(view["nextFireTime"], TIME)
        harness.wait_until(lambda: len(self.attempts("cron")) >= 3, "three fires")
        self.ok(self.lts.cli("cancel", "--group", "demo", "--task", "cron"))
        self.wait_state(self.lts, job["jobId"], "ENDED")
        cycles = [row["cycle"] for row in self.attempts("cron") if row["outcome"] == "EXECUTE_SUCCESS"]
        self.assertEqual(len(cycles), len(set(cycles)))
        for cycle in cycles:
            self.assertTrue(cycle.endswith(".000Z"), cycle)

    def test_wait_on_a_schedule_waits_for_the_first_run(self):
        done = self.ok(self.lts.cli("submit", "--group", "demo", "--task", "first", "--runner", "act", "--param",
                                    "action=success", "--param", "message=first run", "--every", "1s", "--count", "5",
                                    "--wait"))
        self.assertEqual(done.out, "first run\n")

    def attempts(self, task):
        return self.ok(self.lts.cli("attempts", "--group", "demo", "--task", task, "-o", "json")).json()


class Order(harness.EndToEnd):
    """One slot, kept busy until everything waits."""

    def setUp(self):
        super().setUp()
        self.lts = self.started(tasktracker={"workThreads": 1})
        self.blocker = self.act(self.lts, "blocker", "wait")
        self.wait_state(self.lts, self.blocker["jobId"], "RUNNING")

    def release(self):
        self.ok(self.lts.cli("cancel", self.blocker["jobId"]))

    def journal_order(self):
        return [line.split()[0] for line in self.lts.read("journal").splitlines() if line.endswith(" start")]

    def test_priority_then_submit_order(self):
        wanted = []
        for task, priority in (("p5a", 5), ("p-1", -1), ("p100", 100), ("p5b", 5), ("p-10000", -10000)):
            receipt = self.submit(self.lts, task, "--runner", "journal", "--priority", priority)
            wanted.append((priority, len(wanted), receipt["jobId"]))
        self.release()
        harness.wait_until(lambda: len(self.journal_order()) == 5, "five jobs have not run")
        self.assertEqual(self.journal_order(), [job_id for _, _, job_id in sorted(wanted)])

    def test_get_shows_how_far_a_running_attempt_is(self):
        def progress():
            [view] = self.ok(self.lts.cli("get", self.blocker["jobId"], "-o", "json")).json()
            return [(each["progressPercent"], each["progressText"]) for each in view["attempts"]]
        harness.wait_until(lambda: progress() == [(50, "half")], lambda: f"progress is {progress()}")

    def test_explain_a_job_without_a_slot_one_not_due_and_one_without_a_tasktracker(self):
        def codes(job):
            [answer] = self.ok(self.lts.cli("explain", job["jobId"], "-o", "json")).json()
            return [reason["code"] for reason in answer["reasons"]]
        self.assertEqual(codes(self.blocker), ["RUNNING"])
        self.assertEqual(codes(self.act(self.lts, "slotless", "success")), ["NO_FREE_SLOT"])
        self.assertEqual(codes(self.act(self.lts, "early", "success", "--in", "1h")), ["NOT_DUE"])
        self.assertEqual(codes(self.submit(self.lts, "lonely", group="nobody")), ["NO_TASKTRACKER"])
        # The same task again while it runs.
        self.assertEqual(codes(self.act(self.lts, "blocker", "success")), ["RUN_KEY_BUSY"])

    def test_the_same_task_waits_once_is_replaced_or_refused(self):
        first = self.act(self.lts, "same", "success", message="first")
        again = self.act(self.lts, "same", "success", message="again")
        self.assertEqual((again["outcome"], again["jobId"]), ("DUPLICATE", first["jobId"]))
        refused = self.lts.cli("submit", "--group", "demo", "--task", "same", "--runner", "act", "--param",
                               "action=success", "--fail-if-exists")
        self.ok(refused, 4)
        replacing = self.act(self.lts, "same", "success", "--replace", message="second")
        self.assertEqual(replacing["outcome"], "REPLACED")
        self.assertNotEqual(replacing["jobId"], first["jobId"])
        self.assertEqual(self.view(self.lts, first["jobId"])["state"], "REPLACED")
        self.release()
        self.assertEqual(self.wait_state(self.lts, replacing["jobId"], "SUCCEEDED")["message"], "second")

    def test_cancel_while_waiting_and_while_running(self):
        waiting = self.submit(self.lts, "cancelled", "--runner", "journal")
        self.ok(self.lts.cli("cancel", "--group", "demo", "--task", "cancelled"))
        self.assertEqual(self.view(self.lts, waiting["jobId"])["state"], "CANCELLED")
        self.release()
        self.wait_state(self.lts, self.blocker["jobId"], "CANCELLED")
        after = self.submit(self.lts, "after", "--runner", "journal")
        self.wait_state(self.lts, after["jobId"], "SUCCEEDED")
        self.assertEqual(self.journal_order(), [after["jobId"]])
        again = self.ok(self.lts.cli("cancel", waiting["jobId"]), 4)
        self.assertIn("CANCELLED", again.err)


class Reading(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        self.lts = self.started()

    def rows(self, *args):
        return self.ok(self.lts.cli(*args, "-o", "json")).json()

    def test_list_by_state_task_and_time(self):
        for n in range(5):
            self.wait_state(self.lts, self.act(self.lts, f"l{n}", "success" if n else "failed")["jobId"], "SUCCEEDED",
                            "FAILED")
        later = self.act(self.lts, "later", "success", "--in", "1h")
        self.assertEqual({row["taskId"] for row in self.rows("list", "--group", "demo", "--state", "SUCCEEDED")},
                         {"l1", "l2", "l3", "l4"})
        self.assertEqual([row["taskId"] for row in self.rows("list", "--group", "demo", "--state", "FAILED")], ["l0"])
        self.assertEqual([row["jobId"] for row in self.rows("list", "--group", "demo", "--state", "WAITING")],
                         [later["jobId"]])
        self.assertEqual([row["taskId"] for row in self.rows("list", "--group", "demo", "--task", "l3")], ["l3"])
        self.assertEqual(len(self.rows("list", "--group", "demo", "--limit", "2")), 2)
        self.assertEqual(len(self.rows("list", "--group", "demo", "--limit", "2", "--all")), 6)
        self.assertEqual(self.rows("list", "--group", "other"), [])

    def test_get_by_task_and_what_is_not_there(self):
        job = self.act(self.lts, "known", "success", "--in", "1h", "--retries", "3", "--retry", "exponential:1s..1m",
                       "--feedback", "--client-group", "shop", colour="grün")
        [view] = self.rows("get", "--group", "demo", "--task", "known")
        self.assertEqual(view["jobId"], job["jobId"])
        self.assertEqual(view["params"], {"action": "success", "colour": "grün"})
        self.assertEqual((view["priority"], view["maxRetryTimes"], view["needFeedback"], view["runner"]),
                         (100, 3, True, "act"))
        self.assertEqual(view["attempts"], [])
        for verb in ("get", "explain", "cancel", "logs", "wait"):
            with self.subTest(verb):
                gone = self.lts.cli(verb, "01900000-0000-7000-8000-000000000000")
                self.ok(gone, 3)
                self.assertEqual(gone.out, "")
                self.assertTrue(gone.err.strip())
        self.ok(self.lts.cli("get", "--group", "demo", "--task", "unheard-of"), 3)

    def test_nodes_groups_partitions(self):
        self.wait_state(self.lts, self.act(self.lts, "n", "success")["jobId"], "SUCCEEDED")
        nodes = {node["nodeType"]: node for node in self.rows("nodes")}
        self.assertEqual(set(nodes), {"JOB_TRACKER", "TASK_TRACKER"})
        self.assertEqual((nodes["TASK_TRACKER"]["nodeGroup"], nodes["TASK_TRACKER"]["slots"]), ("demo", 10))
        self.assertEqual(nodes["JOB_TRACKER"]["address"], f"127.0.0.1:{self.lts.port}")
        self.assertTrue(nodes["TASK_TRACKER"]["identity"])
        [group] = [row for row in self.rows("groups") if row["group"] == "demo"]
        self.assertEqual((group["taskTrackers"], group["slots"], group["jobs"], group["succeeded"]), (1, 10, 0, 1))
        partitions = self.rows("partitions")
        self.assertEqual(sorted(row["partition"] for row in partitions), [0, 1, 2, 3])
        for row in partitions:
            self.assertTrue(row["owner"])
            self.assertGreaterEqual(int(row["epoch"]), 1)

    def test_tables_are_the_default(self):
        self.wait_state(self.lts, self.act(self.lts, "tab", "success")["jobId"], "SUCCEEDED")
        for verb in (["list"], ["attempts"], ["nodes"], ["groups"], ["partitions"]):
            lines = self.ok(self.lts.cli(*verb)).out.splitlines()
            self.assertGreaterEqual(len(lines), 2, verb)
            self.assertRaises(json.JSONDecodeError, json.loads, lines[0])

    def test_feedback_comes_to_the_agent_of_the_group(self):
        job = self.act(self.lts, "told", "success", "--feedback", "--client-group", "shop", message="done it")
        self.wait_state(self.lts, job["jobId"], "SUCCEEDED")
        agent = self.lts.background(self.lts.path("bin/jobclient"), "agent", "--client-group", "shop",
                                    stdout=subprocess.PIPE)
        result = json.loads(harness.lines_of(agent.stdout, 1)[0])
        self.assertEqual((result["jobId"], result["taskId"], result["success"], result["message"]),
                         (job["jobId"], "told", True, "done it"))
        failing = self.act(self.lts, "told", "failed", "--feedback", "--client-group", "shop", message="no")
        result = json.loads(harness.lines_of(agent.stdout, 1)[0])
        self.assertEqual((result["jobId"], result["success"]), (failing["jobId"], False))
        agent.terminate()
        agent.communicate(timeout=harness.DEADLINE_S)
        self.assertEqual(agent.returncode, 0)

    def test_feedback_is_kept_until_it_is_acknowledged(self):
        job = self.act(self.lts, "kept", "success", "--feedback", "--client-group", "shop")
        self.wait_state(self.lts, job["jobId"], "SUCCEEDED")

        def peek(*args):
            return [row["jobId"] for row in self.rows("feedback", "--client-group", "shop", *args)]
        self.assertEqual(peek(), [job["jobId"]])
        harness.wait_until(lambda: peek("--ack") == [job["jobId"]], "it is not offered again")
        self.assertEqual(peek(), [])

    def test_jobs_from_a_file_bad_lines_are_named_good_ones_go(self):
        def line(task):
            return json.dumps({"taskId": task, "taskTrackerNodeGroup": "demo", "runner": "act",
                               "params": {"action": "success"}})
        done = self.lts.cli("submit", "--file", "-", "-o", "json",
                            stdin="\n".join([line("f1"), "{oops", line("f2"), line("x" * 65)]) + "\n")
        self.ok(done, 1)
        self.assertEqual([row["taskId"] for row in done.json()], ["f1", "f2"])
        self.assertIn("line 2", done.err)
        self.assertIn("line 4", done.err)
        for row in done.json():
            self.wait_state(self.lts, row["jobId"], "SUCCEEDED")

    def test_the_payload_arrives(self):
        job = self.ok(self.lts.cli("submit", "--group", "demo", "--task", "load", "--payload", "-", "--in", "1h", "-o",
                                   "json", stdin=b"\x00\xffbytes")).json()[0]
        self.assertEqual(self.view(self.lts, job["jobId"])["payload"], "AP9ieXRlcw==")


if __name__ == "__main__":
    harness.main()
