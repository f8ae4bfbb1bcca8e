"""bin/jobtracker.sh and bin/tasktracker.sh: what they answer, and the files that they and the daemons keep."""

import json
import os
import re
import shutil
import signal

import harness


class Scripts(harness.EndToEnd):
    def test_start_status_stop_of_a_jobtracker(self):
        home = self.home()
        self.assertEqual(home.jobtracker("status").code, 3)
        self.ok(home.jobtracker("stop"))
        self.ok(home.jobtracker("start"))
        self.ok(home.jobtracker("status"))
        again = self.ok(home.jobtracker("start"))
        self.assertIn("already runs", again.out)
        info = home.ready_info("jobtracker", "standalone")
        self.assertEqual(info["name"], "standalone")
        self.assertEqual(info["listen"], f"127.0.0.1:{home.port}")
        self.assertIs(info["ready"], True)
        self.assertEqual(info["pid"], home.pid("jobtracker", "standalone"))
        self.assertRegex(info["startedAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertRegex(info["version"], r"^\d+\.\d+\.\d+$")
        self.assertTrue(info["ops"].startswith("127.0.0.1:"))
        self.assertIn(f"READY jobtracker name=standalone listen=127.0.0.1:{home.port}\n",
                      home.out("jobtracker", "standalone"))
        self.ok(home.jobtracker("restart"))
        self.assertNotEqual(home.ready_info("jobtracker", "standalone")["pid"], info["pid"])
        self.ok(home.jobtracker("stop"))
        self.assertEqual(home.jobtracker("status").code, 3)
        self.assertIsNone(home.ready_info("jobtracker", "standalone"))

    def test_a_killed_jobtracker_is_told_from_a_stopped_one(self):
        home = self.home()
        self.ok(home.jobtracker("start"))
        pid = home.pid("jobtracker", "standalone")
        os.kill(pid, signal.SIGKILL)
        harness.wait_until(lambda: not harness.alive(pid), "it survives kill -9")
        self.assertEqual(home.jobtracker("status").code, 1)
        self.ok(home.jobtracker("start"))
        self.ok(home.jobtracker("status"))

    def test_a_killed_tasktracker_is_brought_up_again_until_it_is_stopped(self):
        home = self.started()
        first = home.pid("tasktracker", "tasktracker")
        os.kill(first, signal.SIGKILL)
        harness.wait_until(lambda: home.pid("tasktracker", "tasktracker") not in (None, first), "it stays away")
        self.connected(home)
        second = home.pid("tasktracker", "tasktracker")
        self.ok(home.tasktracker("stop"))
        self.assertFalse(harness.alive(second))
        self.assertEqual(home.tasktracker("status").code, 3)
        self.assertEqual([pid for pid in harness.tagged_pids() if pid != home.pid("jobtracker", "standalone")], [])

    def test_forms_of_the_command_line(self):
        home = self.home()
        script = home.path("bin/jobtracker.sh")
        self.ok(home.run("dash", script, "start", "standalone"))
        self.ok(home.run(script, "conf/standalone", "status", cwd="/"))
        self.ok(home.run(script, "status", home.path("conf/standalone")))
        for wrong in ([], ["standalone"], ["standalone", "explode"], ["standalone", "drain"]):
            used = home.run(script, *wrong)
            self.assertEqual(used.code, 2, str(used))
            self.assertIn("usage:", used.err)
        unknown = home.run(script, "nowhere", "start")
        self.assertEqual(unknown.code, 1, str(unknown))
        self.assertIn("standalone", unknown.err)

    def test_through_a_symbolic_link_from_another_folder(self):
        home = self.home()
        link = os.path.join(self.folder, "jt")
        os.symlink(home.path("bin/jobtracker.sh"), link)
        self.ok(home.run(link, "standalone", "start", cwd="/"))
        self.ok(home.run(link, "standalone", "stop", cwd="/"))

    def test_a_second_instance_is_a_copied_folder_with_another_port(self):
        home = self.home()
        self.ok(home.jobtracker("start"))
        shutil.copytree(home.path("conf/standalone"), home.path("conf/other"))
        taken = home.jobtracker("start", "other")
        self.assertEqual(taken.code, 1, str(taken))
        self.assertIn(str(home.port), taken.err)
        home.set("conf/other/jobtracker.cfg", listenPort=0)
        self.ok(home.jobtracker("start", "other"))
        listen = home.ready_info("jobtracker", "other")["listen"]
        self.assertRegex(listen, r"^127\.0\.0\.1:[1-9]\d*$")
        self.assertTrue(os.path.isdir(home.path("data/other")))
        self.ok(home.run(home.path("bin/jobclient"), "partitions", "--registry", f"jobtracker://{listen}"))
        self.ok(home.jobtracker("stop", "other"))
        self.ok(home.jobtracker("status"))

    def test_a_start_that_fails_shows_the_end_of_the_log(self):
        home = self.home()
        home.set("conf/standalone/jobtracker.cfg", listenPrt=1)
        failed = home.jobtracker("start")
        self.assertEqual(failed.code, 1, str(failed))
        self.assertIn("listenPrt", failed.err)
        self.assertIn("listenPort", failed.err)  # the nearest name
        self.assertEqual(harness.tagged_pids(), [])

    def test_a_stop_ends_running_jobs_in_order(self):
        home = self.started(tasktracker={"tasktracker__stop__timeout": "0s"})
        job = self.act(home, "t", "wait")
        self.wait_state(home, job["jobId"], "RUNNING")
        self.ok(home.tasktracker("stop"))
        self.ok(home.tasktracker("start"))
        view = self.wait_state(home, job["jobId"], "RUNNING")
        self.assertNotIn("LOST", json.dumps(view["attempts"][:1]))
        self.ok(home.tasktracker("stop"))
        self.ok(home.jobtracker("stop"))


class Ops(harness.EndToEnd):
    def test_health_readiness_and_metrics(self):
        home = self.started()
        for daemon, name in (("jobtracker", "standalone"), ("tasktracker", "tasktracker")):
            self.assertEqual(home.get(daemon, name, "/healthz")[0], 200)
            harness.wait_until(lambda d=daemon, n=name: home.get(d, n, "/readyz")[0] == 200, f"{daemon} is not ready")
            code, text = home.get(daemon, name, "/metrics")
            self.assertEqual(code, 200)
            limits = {kind: set(re.findall(rf"^lts_limit_{kind}\{{[^}}]*limit=\"([^\"]+)\"", text, re.MULTILINE))
                      for kind in ("current", "max", "refused_total")}
            self.assertTrue(limits["max"], text)
            self.assertEqual(limits["current"], limits["max"])
            self.assertEqual(limits["refused_total"], limits["max"])
            # Every option that limits how much is held or taken at once; what is told for each partition ends in /N.
            shipped = self.ok(home.run(home.path("bin", daemon), "--print-conf")).out
            named = {name.split("/")[0] for name in limits["max"]}
            for option in re.findall(r"^#?([a-z.]+\.max)=", shipped, re.MULTILINE):
                if option != "job.later.times.max":
                    self.assertTrue({option, option.removesuffix(".max")} & named, f"{option} in {sorted(named)}")
            if daemon == "tasktracker":
                self.assertRegex(text, r"(?m)^lts_failstore_parked \d")
            for line in text.splitlines():
                self.assertRegex(line, r"^(#.*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^}]*\})? \S+)?$")

    def test_counters_follow_the_jobs(self):
        home = self.started()
        for n in range(3):
            self.wait_state(home, self.act(home, f"t{n}", "success")["jobId"], "SUCCEEDED")

        def succeeded():
            text = home.get("jobtracker", "standalone", "/metrics")[1]
            return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("lts_jobs_succeeded_total{"))
        harness.wait_until(lambda: succeeded() == 3, lambda: f"{succeeded()} succeeded")


if __name__ == "__main__":
    harness.main()
