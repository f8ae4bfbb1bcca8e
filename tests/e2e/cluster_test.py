"""Several JobTrackers over real ZooKeeper and MariaDB: who owns what, and what happens when one comes, goes or dies."""

import os
import time

import cluster
import config_test
import harness

# Longer than tasktracker.lease and kill.grace together; a longer time by the environment.
SECONDS_AWAY = int(os.environ.get("LTS_E2E_SECONDS_AWAY", "28"))


class Nodes(cluster.ClusterTest):
    def test_a_cluster_runs_jobs_and_shows_who_is_who(self):
        c = self.up()
        done = self.ok(c.cli("submit", "--group", "demo", "--task", "first", "--runner", "word_count", "--param",
                             "file=/etc/hostname", "--wait"))
        self.assertRegex(done.out, r"^lines=\d+ ")
        nodes = self.ok(c.cli("nodes", "-o", "json")).json()
        self.assertEqual(sorted(node["nodeType"] for node in nodes),
                         ["JOB_TRACKER", "JOB_TRACKER", "TASK_TRACKER", "TASK_TRACKER"])
        for kind in ("JOB_TRACKER", "TASK_TRACKER"):
            self.assertEqual([node["master"] for node in nodes if node["nodeType"] == kind].count(True), 1)
        self.assertEqual(sorted(c.owners()), list(range(16)))
        owners = list(c.owners().values())
        self.assertEqual({owners.count(owner) for owner in owners}, {8})
        self.assertEqual(self.ok(c.cli("groups", "-o", "json")).json()[0]["taskTrackers"], 2)
        self.ok(c.script("status"))
        self.ok(c.script("up"))  # nothing to do, and it says what to try
        self.ok(c.script("down"))
        self.assertEqual(c.script("status").code, 1)
        # Ports and jobs are the same when it comes back.
        self.ok(c.script("up"))
        self.assertEqual(len(self.ok(c.cli("list", "--all", "-o", "json")).json()), 1)
        self.ok(c.script("down"))


    def test_a_configuration_with_every_key_of_the_original_starts(self):
        c = self.up()
        keys = {f"configs.{key}": value for key, value in config_test.CONFIGS.items()}
        keys.update(config_test.PLAIN)
        keys.update({"registryAddress": c.registry, "clusterName": cluster.NAME, "dataPath": c.path("data/original"),
                     "configs.jdbc.url": f"jdbc:mysql://127.0.0.1:{c.ports['mariadb_port']}/lts?useUnicode=true",
                     "configs.jdbc.username": "lts", "configs.jdbc.password": c.ports["password"],
                     "listenPort": str(harness.free_port()), "runner.exec.enable": "true"})
        os.makedirs(c.path("conf/original"))
        for daemon in ("jobtracker", "tasktracker"):
            mine = {key: value for key, value in keys.items() if daemon == "tasktracker" or not key.startswith("runner.")}
            path = c.path("conf/original", daemon + ".cfg")
            with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write("".join(f"{key}={value}\n" for key, value in mine.items()))
        self.ok(c.jobtracker("start", "original"))
        self.ok(c.tasktracker("start", "original"))
        self.connected(c, "original")
        nodes = self.ok(c.cli("nodes", "-o", "json")).json()
        self.assertEqual([node["nodeType"] for node in nodes if node["identity"] == "one"], ["JOB_TRACKER", "TASK_TRACKER"])
        done = self.ok(c.cli("submit", "--group", "test_group", "--task", "first", "--runner", "exec", "--param",
                             "program=/nowhere", "--wait"), 8)
        self.assertIn("runner.exec.allow", done.out)
        for daemon in ("jobtracker", "tasktracker"):
            notices = [line for line in c.out(daemon, "original").splitlines() if ": without effect: " in line]
            self.assertGreater(len(notices), 40)


class Membership(cluster.ClusterTest):
    def test_one_is_added_and_removed_under_load_and_no_client_sees_an_error(self):
        c = self.up()
        c.use_test_runners("worker", "worker2")
        self.ok(c.jobtracker("stop", "zoo2"))
        c.open_gate()
        load = self.submitter(c, "--prefix", "load", "--batch", 5, "--pause-ms", 5, "--strict", "1")

        def answered():
            if load.poll() is not None:
                self.fail(f"the client has ended: {load.communicate()}")
            return c.read("answers").count("\n")

        for _ in range(2):
            before = answered()
            harness.wait_until(lambda: answered() > before + 200, "no jobs are accepted")
            self.ok(c.jobtracker("start", "zoo2"))
            harness.wait_until(lambda: list(c.owners().values()).count(c.owners()[0]) == 8, "it gets no share")
            before = answered()
            harness.wait_until(lambda: answered() > before + 200, "no jobs are accepted beside a second JobTracker")
            owner = c.owner_of("demo")
            self.ok(c.jobtracker("stop", owner))
            before = answered()
            harness.wait_until(lambda: answered() > before + 200, "no jobs are accepted after one has gone")
            self.ok(c.jobtracker("start", owner))
            self.ok(c.jobtracker("stop", "zoo2"))
        load.terminate()
        out, _ = load.communicate(timeout=harness.DEADLINE_S)
        self.assertEqual(load.returncode, 0, out)
        self.check_all_ran_once(c)

    def test_the_owner_is_killed_and_nothing_is_lost_or_run_twice(self):
        c = self.up()
        c.use_test_runners("worker", "worker2")
        held = self.submitter(c, "--prefix", "held", "--count", 8, "--hold-ms", 600_000)
        held.communicate(timeout=harness.DEADLINE_S)
        harness.wait_until(lambda: c.read("journal").count("start\n") == 8, "8 jobs do not run")
        load = self.submitter(c, "--prefix", "load", "--batch", 5, "--pause-ms", 20)
        answered = lambda: c.read("answers").count("\n")
        harness.wait_until(lambda: answered() > 100, "no jobs are accepted")
        self.kill(c.pid("jobtracker", c.owner_of("demo")))
        before = answered()
        harness.wait_until(lambda: answered() > before + 100, "nobody takes over")
        c.open_gate()
        load.terminate()
        out, _ = load.communicate(timeout=harness.DEADLINE_S)
        self.assertEqual(load.returncode, 0, out)
        self.check_all_ran_once(c)
        self.assertEqual({row["attempt"] for row in self.ended(c)}, {1}, "running jobs were not adopted")


class Servers(cluster.ClusterTest):
    """The time-outs are the defaults, so that an outage can be shorter or longer than them."""

    def outage(self, server, seconds):
        c = self.up()
        c.use_test_runners("worker", "worker2")
        held = self.submitter(c, "--prefix", "held", "--count", 8, "--hold-ms", 600_000)
        held.communicate(timeout=harness.DEADLINE_S)
        harness.wait_until(lambda: c.read("journal").count("start\n") == 8, "8 jobs do not run")
        load = self.submitter(c, "--prefix", "load", "--batch", 5, "--pause-ms", 50, "--store", c.path("client"))
        answered = lambda: c.read("answers").count("\n")
        harness.wait_until(lambda: answered() > 50, "no jobs are accepted")
        pid = c.server(server)
        c.pause(pid)
        end = time.monotonic() + seconds
        harness.wait_until(lambda: time.monotonic() > end, "time stands still", seconds + 5, every_s=0.5)
        c.resume(pid)
        before = answered()
        harness.wait_until(lambda: answered() > before + 50, "no jobs are accepted afterwards")
        c.open_gate()
        load.terminate()
        harness.lines_of(load.stdout, 1)
        return c, load

    def test_the_database_is_frozen_for_less_than_a_lease_of_tasktrackers(self):
        c, load = self.outage("mariadb", 12)
        self.check_all_ran_once(c)
        self.assertEqual({row["attempt"] for row in self.ended(c)}, {1}, "running jobs were disturbed")
        load.communicate(timeout=harness.DEADLINE_S)

    def test_the_database_is_away_for_longer_than_a_lease_of_tasktrackers(self):
        c = self.up()
        for name in ("worker", "worker2"):
            c.set(f"conf/{name}/tasktracker.cfg", workThreads=4)
        c.use_test_runners("worker", "worker2")
        held = self.submitter(c, "--prefix", "held", "--count", 8, "--hold-ms", 600_000)
        held.communicate(timeout=harness.DEADLINE_S)
        harness.wait_until(lambda: c.read("journal").count("start\n") == 8, "8 jobs do not run")
        self.kill(c.server("mariadb"))
        away = time.monotonic()
        stored = self.submitter(c, "--prefix", "stored", "--count", 200, "--batch", 10, "--pause-ms", 100, "--store",
                                c.path("client"))
        self.assertEqual(harness.lines_of(stored.stdout, 1), ["DONE 200\n"])
        self.assertEqual({line.split()[2] for line in c.read("answers").splitlines()[8:]}, {"STORED"})
        harness.wait_until(lambda: time.monotonic() > away + SECONDS_AWAY, "time stands still", SECONDS_AWAY + 5, every_s=0.5)
        self.ok(c.script("up"))
        c.open_gate()
        self.check_all_ran_once(c)
        self.assertEqual({row["attempt"] for row in self.ended(c)}, {1}, "running jobs were disturbed")
        # Accepted in the order in which they were submitted.
        jobs = self.ok(c.cli("list", "--group", "demo", "--all", "-o", "json")).json()
        accepted = {job["jobId"]: job["acceptedAt"] for job in jobs}
        times = [accepted[line.split()[0]] for line in c.read("answers").splitlines()[8:]]
        self.assertEqual(times, sorted(times), "the submit order is lost")
        stored.communicate(timeout=harness.DEADLINE_S)

    def test_zookeeper_is_frozen_for_longer_than_a_session(self):
        c, load = self.outage("zookeeper", int(os.environ.get("LTS_E2E_SECONDS_AWAY", "15")))
        self.assertNotIn("STORED", c.read("answers"), "jobs were not accepted meanwhile")
        self.check_all_ran_once(c)
        self.assertEqual({row["attempt"] for row in self.ended(c)}, {1}, "running jobs were disturbed")
        load.communicate(timeout=harness.DEADLINE_S)


if __name__ == "__main__":
    harness.main()
