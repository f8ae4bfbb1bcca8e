"""Wrong input, broken plugins, folders that are taken: a clear message, the right exit code, and nothing else is lost."""

import os
import shutil

import harness


class Refused(harness.EndToEnd):
    """What the command and the JobTracker refuse. One cluster; afterwards it still works."""

    def setUp(self):
        super().setUp()
        self.lts = self.started()

    def refused(self, code, *texts, args):
        done = self.lts.cli(*args)
        self.assertIn(done.code, code if isinstance(code, tuple) else (code,), str(done))
        self.assertEqual(done.out, "")
        for text in texts:
            self.assertIn(text, done.err)
        self.wait_state(self.lts, self.act(self.lts, "still-works", "success")["jobId"], "SUCCEEDED")

    def submit_args(self, *args, group="demo", task="t"):
        return ("submit", "--group", group, "--task", task, "--runner", "act", "--param", "action=success", *args)

    def test_an_unknown_flag_and_an_unknown_verb(self):
        self.refused(2, "--prority", args=self.submit_args("--prority", "3"))
        self.refused(2, "explode", args=("explode",))
        self.refused(2, args=())

    def test_an_unknown_option_of_a_configuration(self):
        for daemon, config in (("jobtracker", "conf/standalone/jobtracker.cfg"), ("tasktracker", "conf/tasktracker.cfg")):
            self.lts.set(config, nodeGruop="x")
            done = self.lts.run(self.lts.path("bin", daemon), "--config", self.lts.path(config), "--check-config")
            self.ok(done, 78)
            self.assertIn("nodeGruop", done.err)
            self.assertIn("nodeGroup", done.err)
            flag = self.lts.run(self.lts.path("bin", daemon), "--no-such-flag", "1")
            self.assertIn(flag.code, (64, 78), str(flag))
            self.assertIn("no-such-flag", flag.err)

    def test_bad_cron_text_is_refused_with_position_and_reason(self):
        offline = self.lts.cli("cron", "next", "0 0 25 * * ?")
        self.ok(offline, 2)
        self.assertRegex(offline.err, r"\d")
        self.assertIn("25", offline.err)
        submitted = self.lts.cli(*self.submit_args("--cron", "0 0 25 * * ?"))
        self.ok(submitted, 2)
        self.assertIn("25", submitted.err)
        self.assertRegex(submitted.err, r"position|character|column|field")
        self.refused(2, "Mars/Olympus", args=self.submit_args("--cron", "0 0 3 * * ?", "--tz", "Mars/Olympus"))

    def test_names_with_control_characters(self):
        self.refused(2, "group", args=self.submit_args(group="de\x01mo"))
        self.refused(2, "group", args=self.submit_args(group="with blank"))
        self.refused(2, "task", args=self.submit_args(task="t\nx"))
        self.refused(2, "task", "64", args=self.submit_args(task="x" * 65))

    def test_values_out_of_bounds(self):
        self.refused(2, "priority", args=self.submit_args("--priority", "10001"))
        self.refused(2, args=self.submit_args("--retries", "-1"))
        self.refused(2, args=self.submit_args("--timeout", "soon"))
        self.refused(2, args=self.submit_args("--at", "yesterday"))

    def test_a_payload_over_the_limit(self):
        path = os.path.join(self.folder, "payload")
        with open(path, "wb") as file:
            file.write(b"x" * (64 * 1024 + 1))
        self.refused(4, "65536", args=self.submit_args("--payload", path))
        with open(path, "wb") as file:
            file.write(b"x" * (64 * 1024 - 100))
        job = self.ok(self.lts.cli(*self.submit_args("--payload", path, "-o", "json"))).json()[0]
        self.wait_state(self.lts, job["jobId"], "SUCCEEDED")

    def test_a_program_that_is_not_allowed(self):
        done = self.lts.cli("submit", "--group", "demo", "--task", "sh", "--runner", "exec", "--param", "program=/bin/sh",
                            "--wait")
        self.ok(done, 8)
        self.assertIn("runner.exec.allow", done.out)

    def test_a_runner_that_nobody_has(self):
        done = self.lts.cli("submit", "--group", "demo", "--task", "no", "--runner", "unheard-of", "--wait")
        self.ok(done, 8)
        self.assertIn("unheard-of", done.out)


class Plugins(harness.EndToEnd):
    def refused_start(self, *texts, **options):
        home = self.home()
        home.set("conf/tasktracker.cfg", **options)
        done = home.tasktracker("start")
        self.ok(done, 1)
        for text in texts:
            self.assertIn(text, done.err)
        self.assertEqual(harness.tagged_pids(), [])
        self.homes.remove(home)
        shutil.rmtree(home.folder)

    def plugin(self, name):
        return os.path.join(harness.PROGRAMS, name)

    def test_plugins_that_cannot_be_used_refuse_the_start(self):
        self.refused_start("/nowhere/none.so", runner__plugins="/nowhere/none.so")
        self.refused_start("42", "1", runner__plugins=self.plugin("lts_e2e_other_abi.so"))
        self.refused_start("the license of this runner has run out", runner__plugins=self.plugin("lts_e2e_refusing.so"))
        text = os.path.join(self.folder, "text.so")
        with open(text, "w", encoding="utf-8") as file:
            file.write("no library\n")
        self.refused_start(text, runner__plugins=text)

    def test_a_job_that_kills_its_tasktracker_ends_dead_and_takes_nothing_along(self):
        home = self.started(jobtracker={"job__max__lost__times": 3}, tasktracker={"runner__isolation": "thread"})
        longs = [self.submit(home, f"long-{n}", "--runner", "journal", "--param", "hold_ms=600000")["jobId"]
                 for n in range(3)]
        waiting = [self.submit(home, f"later-{n}", "--runner", "journal", "--in", "2s")["jobId"] for n in range(3)]
        killer = self.act(home, "killer", "abort")
        view = self.wait_state(home, killer["jobId"], "DEAD")
        self.assertEqual([row["outcome"] for row in view["attempts"]], ["LOST"] * 3)
        self.assertIn("job.max.lost.times", view["message"])
        self.connected(home)
        home.open_gate()
        # Those that ran beside it were lost as often; one of them may be dead by the same rule, none is gone.
        for job_id in waiting:
            self.wait_state(home, job_id, "SUCCEEDED")
        for job_id in longs:
            self.wait_state(home, job_id, "SUCCEEDED", "DEAD")

    def test_a_job_that_kills_its_tasktracker_once_succeeds_later(self):
        home = self.started(tasktracker={"runner__isolation": "thread"})
        killer = self.act(home, "killer", "exit", times=1)
        view = self.wait_state(home, killer["jobId"], "SUCCEEDED")
        self.assertEqual([row["outcome"] for row in view["attempts"]], ["EXECUTE_SUCCESS", "LOST"])


class Cluster(harness.EndToEnd):
    def refused(self, *parts, **options):
        home = self.home()
        home.set("conf/zoo/jobtracker.cfg", **options)
        started = home.jobtracker("start", "zoo")
        self.assertEqual(started.code, 1, str(started))
        for part in parts:
            self.assertIn(part, started.err)

    def test_a_cluster_keeps_no_queues_in_rocksdb(self):
        self.refused("job.queue=rocksdb", "configs.job.queue=mysql", configs__job__queue="rocksdb")

    def test_a_database_that_does_not_answer_is_named(self):
        port = harness.free_port()
        self.refused("configs.jdbc.url", f"127.0.0.1:{port}", configs__jdbc__url=f"jdbc:mysql://127.0.0.1:{port}/lts")

    def test_a_database_that_is_not_named(self):
        self.refused("configs.jdbc.url is not set", configs__jdbc__url="")

    def test_a_registry_that_makes_no_sense(self):
        self.refused("zookeeper://", registryAddress="zookeeper://:0")


class Folders(harness.EndToEnd):
    def test_a_data_folder_that_another_process_holds(self):
        home = self.home()
        self.ok(home.jobtracker("start"))
        shutil.copytree(home.path("conf/standalone"), home.path("conf/thief"))
        home.set("conf/thief/jobtracker.cfg", listenPort=0, dataPath="data/standalone")
        done = home.jobtracker("start", "thief")
        self.ok(done, 1)
        self.assertIn("data/standalone", done.err)
        self.assertRegex(done.err, r"open in process \d+")
        self.ok(home.jobtracker("status"))
        self.ok(home.cli("partitions"))

    def test_a_store_of_another_cluster(self):
        home = self.home()
        self.ok(home.jobtracker("start"))
        self.ok(home.jobtracker("stop"))
        home.set("conf/standalone/jobtracker.cfg", clusterName="otherCluster")
        done = home.jobtracker("start")
        self.ok(done, 1)
        self.assertIn("otherCluster", done.err)
        self.assertIn("defaultCluster", done.err)
        home.set("conf/standalone/jobtracker.cfg", clusterName="defaultCluster", cluster__partitions=8)
        done = home.jobtracker("start")
        self.ok(done, 1)
        self.assertIn("partition count is 4, configured is 8", done.err)


if __name__ == "__main__":
    harness.main()
