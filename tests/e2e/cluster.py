"""A cluster as scripts/cluster.sh runs it: ZooKeeper, MariaDB, two JobTrackers, two TaskTrackers, in a home of its own."""

import os
import signal

import harness

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "cluster.sh")
NAME = "try"


class Cluster(harness.Home):
    """The JobTrackers are `zoo` and `zoo2`, the TaskTrackers `worker` and `worker2` of group demo."""

    def __init__(self, folder):
        super().__init__(folder)
        self.env.update(LTS_CLUSTER_HOME=self.folder, LTS_CLUSTER_DIST=self.folder, LTS_SKIP_DEPS="1",
                        LTS_CLUSTERNAME=NAME)

    def script(self, verb):
        return self.run("sh", SCRIPT, verb, timeout=4 * harness.DEADLINE_S)

    @property
    def ports(self):
        return dict(line.split("=", 1) for line in self.read("cluster.env").split())

    @property
    def registry(self):
        return f"zookeeper://127.0.0.1:{self.ports['zookeeper_port']}"

    def use_test_runners(self, *names):
        """The plugin of the tests, in the TaskTrackers of these names; they are started again."""
        super().use_test_runners()
        for name in names:
            self.set(f"conf/{name}/tasktracker.cfg", runner__plugins=self.path("lib/plugins/*.so"),
                     runner__journal__file=self.path("journal"), runner__journal__gate=self.path("gate"))
            self.tasktracker("restart", name)

    def owners(self):
        """Identity of the owner by partition."""
        rows = self.cli("partitions", "-o", "json").json()
        return {row["partition"]: row["owner"] for row in rows}

    def owner_of(self, group):
        """The name of the JobTracker that owns the group's partition."""
        partition = next(row["partition"] for row in self.cli("groups", "-o", "json").json() if row["group"] == group)
        return self.tracker(self.owners()[partition])

    def tracker(self, identity):
        return next(name for name in ("zoo2", "zoo") if f"-{name}-" in identity)

    def server(self, name):
        return int(self.read(f"pid/{name}.pid"))

    def pause(self, pid):
        os.kill(pid, signal.SIGSTOP)

    def resume(self, pid):
        os.kill(pid, signal.SIGCONT)


class ClusterTest(harness.EndToEnd):
    def up(self):
        cluster = Cluster(os.path.join(self.folder, "c"))
        self.homes.append(cluster)
        self.ok(cluster.script("up"))
        cluster.set("conf/jobclient.cfg", registryAddress=cluster.registry, clusterName=NAME)
        return cluster

    def ended(self, cluster):
        return self.ok(cluster.cli("attempts", "--group", "demo", "--all", "-o", "json")).json()

    def check_all_ran_once(self, cluster, answers="answers"):
        """Everything that was answered has ended with success, in one attempt."""
        jobs = [line.split()[0] for line in cluster.read(answers).splitlines()]
        seen = {}

        def all_ended():
            seen["rows"] = [row for row in self.ended(cluster) if row["outcome"] != "LOST"]
            return {row["jobId"] for row in seen["rows"]} >= set(jobs)

        harness.wait_until(all_ended, lambda: f"{len(seen['rows'])} of {len(jobs)} jobs have ended", every_s=0.5)
        rows = seen["rows"]
        self.assertEqual(len(rows), len(set(jobs)), "other jobs ended than were answered")
        self.assertEqual({row["outcome"] for row in rows}, {"EXECUTE_SUCCESS"})
        starts = [line.split()[0] for line in cluster.read("journal").splitlines() if line.endswith(" start")]
        self.assertEqual(len(starts), len(set(starts)), "a job ran twice")
        self.assertEqual(set(starts), set(jobs))
        return len(jobs)
