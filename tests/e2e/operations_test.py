"""What can be done to a job or schedule after its submit, by the command line, before and after a kill -9 of the
JobTracker."""

import harness


class Operations(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        self.lts = self.started()

    def done(self, *args, code=0):
        return self.ok(self.lts.cli(*args, "-o", "json"), code)

    def state_after(self, *args):
        [answer] = self.done(*args).json()
        return answer["state"]

    def codes(self, job_id):
        [answer] = self.done("explain", job_id).json()
        return [reason["code"] for reason in answer["reasons"]]

    def life(self, job_id):
        return [(line["type"], line["message"]) for line in self.done("logs", job_id, "--life").json()]

    def killed_and_started(self):
        self.kill(self.lts.pid("jobtracker", "standalone"))
        self.ok(self.lts.jobtracker("start"))
        self.connected(self.lts)

    def test_a_suspension_outlives_its_jobtracker(self):
        job = self.act(self.lts, "sleeper", "success", "--in", "1h")["jobId"]
        self.assertEqual(self.state_after("suspend", job), "SUSPENDED")
        self.assertEqual(self.state_after("update", job, "--in", "0s"), "SUSPENDED")
        self.killed_and_started()
        self.assertEqual(self.view(self.lts, job)["state"], "SUSPENDED")
        self.assertEqual(self.codes(job), ["SUSPENDED"])
        [row] = self.done("list", "--state", "SUSPENDED").json()
        self.assertEqual(row["jobId"], job)
        self.state_after("resume", job)
        self.wait_state(self.lts, job, "SUCCEEDED")
        types = [line[0] for line in self.life(job)]
        self.assertEqual(types, ["RECEIVE", "SUSPEND", "UPDATE", "RESUME", "SENT", "FINISHED"])

    def test_a_suspended_schedule_skips_its_fires_and_says_so(self):
        schedule = self.act(self.lts, "ticks", "success", "--every", "200ms")["jobId"]
        harness.wait_until(lambda: self.attempts("ticks"), "the schedule fires")
        self.assertEqual(self.state_after("suspend", schedule), "SUSPENDED")
        view = self.view(self.lts, schedule)
        self.assertEqual((view["state"], view["nextFireTime"]), ("SUSPENDED", None))
        runs = view["runs"]
        self.killed_and_started()
        self.assertEqual(self.view(self.lts, schedule)["runs"], runs)
        self.assertEqual(self.state_after("resume", schedule), "ACTIVE")
        harness.wait_until(lambda: self.view(self.lts, schedule)["runs"] > runs, "it fires again")
        skipped = [row for row in self.attempts("ticks") if row["state"] == "SKIPPED"]
        self.assertIn("suspended when it was due", [row["message"] for row in skipped])
        self.ok(self.lts.cli("cancel", schedule))

    def attempts(self, task):
        return self.done("attempts", "--group", "demo", "--task", task, "--all").json()

    def test_a_trigger_runs_with_parameters_of_its_own_and_leaves_the_schedule_alone(self):
        schedule = self.act(self.lts, "yearly", "success", "--cron", "0 0 0 1 1 ? 2090", message="by its fire")["jobId"]
        [run] = self.done("trigger", schedule, "--param", "message=by hand").json()
        self.assertNotEqual(run["jobId"], schedule)
        self.assertEqual(self.wait_state(self.lts, run["jobId"], "SUCCEEDED")["message"], "by hand")
        view = self.view(self.lts, schedule)
        self.assertEqual((view["state"], view["runs"], view["nextFireTime"]), ("ACTIVE", 0, "2090-01-01T00:00:00.000Z"))
        kinds = {row["jobId"]: (row["kind"], row["cycle"]) for row in self.done("list", "--group", "demo").json()}
        self.assertEqual(kinds[schedule], ("CRON", None))
        self.assertEqual(kinds[run["jobId"]], ("TRIGGER", None))
        [again] = self.done("rerun", run["jobId"], "--param", "message=once more").json()
        self.assertEqual(self.wait_state(self.lts, again["jobId"], "SUCCEEDED")["message"], "once more")

    def test_wait_and_logs_find_a_task_as_get_does(self):
        task = ("--group", "demo", "--task", "twice")
        first = self.act(self.lts, "twice", "success", message="first")["jobId"]
        self.wait_state(self.lts, first, "SUCCEEDED")
        self.assertEqual(self.ok(self.lts.cli("wait", *task)).out, "first\n")  # that ended last
        second = self.act(self.lts, "twice", "wait", "--timeout", "500ms")["jobId"]
        waited = self.ok(self.lts.cli("wait", *task, "-o", "json"), 8)  # that runs
        [end] = waited.json()
        self.assertEqual((end["jobId"], end["kind"]), (second, "ONE_SHOT"))
        types = [line["type"] for line in self.done("logs", "--life", *task).json()]
        self.assertEqual(types, ["RECEIVE", "SENT", "FINISHED"])
        self.done("logs", "-f", *task)
        for verb in ("wait", "logs"):
            self.assertIn("no job of task nobody", self.done(verb, "--group", "demo", "--task", "nobody", code=3).err)
        [timed_out] = self.done("attempts", "--group", "demo", "--outcome", "TIMED_OUT").json()
        self.assertEqual(timed_out["jobId"], second)
        self.assertEqual(self.done("attempts", "--group", "demo", "--outcome", "LOST").out, "")

    def test_terminate_stops_the_run_alone_and_cancel_the_whole(self):
        schedule = self.act(self.lts, "hangs", "wait", "--every", "300ms")["jobId"]
        running = lambda: "RUNNING" in self.codes(schedule)  # noqa: E731
        harness.wait_until(running, "it runs")
        self.assertEqual(self.state_after("terminate", schedule), "RUNNING")
        ended = lambda: [row for row in self.attempts("hangs") if row["state"] == "CANCELLED"]  # noqa: E731
        harness.wait_until(ended, "the run ends")
        harness.wait_until(running, "the next cycle runs")
        self.assertEqual(self.state_after("cancel", schedule), "ENDED")
        self.wait_state(self.lts, schedule, "ENDED")
        refused = self.done("terminate", schedule, code=4)
        self.assertIn("has ended already", refused.err)

    def test_an_update_holds_for_the_retries_of_what_runs(self):
        job = self.act(self.lts, "stubborn", "wait", "--timeout", "1h")["jobId"]
        harness.wait_until(lambda: self.codes(job) == ["RUNNING"], "it runs")
        self.state_after("update", job, "--retries", "3", "--retry", "fixed:100ms", "--param", "action=success")
        self.killed_and_started()
        self.assertEqual(self.view(self.lts, job)["maxRetryTimes"], 3)
        # The attempt under way is lost with its TaskTracker, the next one gets the new parameters.
        self.ok(self.lts.tasktracker("stop"))
        self.ok(self.lts.tasktracker("start"))
        view = self.wait_state(self.lts, job, "SUCCEEDED")
        self.assertEqual(view["attempts"][0]["attempt"], 2)

    def test_an_update_touches_the_parameters_that_it_names(self):
        job = self.act(self.lts, "named", "success", "--in", "1h", "--param", "message=old", "--param", "gone=1")["jobId"]
        self.done("update", "--param", "message=new", "--drop-param", "gone", job)
        params = self.view(self.lts, job)["params"]
        self.assertEqual((params["action"], params["message"]), ("success", "new"))
        self.assertNotIn("gone", params)
        self.done("update", job, "--param", "message=x", "--drop-param", "message", code=2)
        told = [message for type_, message in self.life(job) if type_ == "UPDATE"]
        self.assertEqual(told, ["updated: params {action=success, gone=1, message=old} -> "
                                "{action=success, message=new}"])

    def test_refusals_name_field_value_and_what_would_be_right(self):
        job = self.act(self.lts, "dated", "success", "--in", "1h")["jobId"]
        schedule = self.act(self.lts, "fires", "success", "--cron", "0 0 0 1 1 ? 2090")["jobId"]
        for args, code, says in (
                (("update", job), 2, "needs an option"),
                (("update", job, "--cron", "0 0 0 * * ?"), 2, "is not a schedule"),
                (("update", schedule, "--cron", "61 * * * * ?"), 2, "61"),
                (("update", schedule, "--cron", "0 0 0 1 1 ? 2020"), 2, "no fire time left"),
                (("update", job, "--priority", "123456"), 2, "-10000 to 10000"),
                (("update", job, "--misfire", "skip"), 2, "is not a schedule"),
                (("trigger", job, "--param", "a=b"), 2, "params"),
                (("rerun", job), 4, "has not ended"),
                (("rerun", job, "--cycle", "2026-11-26T10:00:00Z"), 4, "no run of the cycle"),
                (("terminate", job), 4, "nothing of job"),
                (("suspend", "--group", "demo", "--task", "nobody"), 3, "nothing stands under task"),
                (("resume",), 2, "JOB_ID"),
                (("trigger", "01890f3e-7b1c-7cc8-98c4-dc0c0c07398f"), 3, "01890f3e")):
            with self.subTest(args):
                refused = self.ok(self.lts.cli(*args), code)
                self.assertIn(says, refused.err)
                self.assertEqual(refused.out, "")


if __name__ == "__main__":
    harness.main()
