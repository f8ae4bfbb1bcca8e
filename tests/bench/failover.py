#!/usr/bin/python3
"""F1: how long a group is without an owner when its JobTracker goes.

usage: failover.py TREE [--runs 10]     TREE: an installed LTS (cmake --install BUILD --prefix TREE)

Runs a cluster (scripts/cluster.sh: one ZooKeeper, MariaDB, two JobTrackers, two TaskTrackers; time-outs as shipped) and
lets the owner of the group's partition go: by kill -9, then by SIGTERM, so many times each. Right after the signal one
job is submitted through libjobclient's command line; the figure is the time from the signal until its result is known
there, so it has been accepted, run and recorded by the next owner. Eight jobs run all the while: at the end none of them
may have been run twice. For comparison the same submit is timed with nobody gone.
"""

import argparse
import os
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tree")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--programs", default="", help="folder of lts_e2e_runners.so (default: beside the tree)")
    options = parser.parse_args()
    tree = os.path.abspath(options.tree)
    os.environ["LTS_E2E_TREE"] = tree
    os.environ["LTS_E2E_PROGRAMS"] = os.path.abspath(options.programs or os.path.join(tree, "..", "programs"))
    import cluster
    import harness

    class Failover(cluster.ClusterTest):
        def runTest(self):
            c = self.up()
            c.use_test_runners("worker", "worker2")
            held = [self.submit(c, f"held-{i}", "--runner", "journal", "--param", "hold_ms=3600000")["jobId"] for i in range(8)]
            harness.wait_until(lambda: c.read("journal").count("start\n") == 8, "8 jobs do not run")
            count = 0

            def probe(before=lambda: None):
                nonlocal count
                count += 1
                before()
                begin = time.monotonic()
                self.ok(c.cli("submit", "--group", "demo", "--task", f"probe-{count}", "--runner", "word_count",
                              "--param", "file=/etc/hostname", "--wait"))
                return time.monotonic() - begin

            def balanced():
                owners = list(c.owners().values())
                return len(set(owners)) == 2 and owners.count(owners[0]) == 8

            print(f"{os.cpu_count()} cores, one ZooKeeper, session time-out 6 s, cluster.lease 4 s, {options.runs} runs each")
            print_line("nobody gone", [probe() for _ in range(options.runs)])
            for name, number in (("kill -9", signal.SIGKILL), ("SIGTERM", signal.SIGTERM)):
                took = []
                for _ in range(options.runs):
                    harness.wait_until(balanced, "the partitions are not evenly owned")
                    owner = c.owner_of("demo")
                    pid = c.pid("jobtracker", owner)
                    took.append(probe(lambda: os.kill(pid, number)))
                    harness.wait_until(lambda: not harness.alive(pid), "it does not end")
                    self.ok(c.jobtracker("start", owner))
                print_line(name, took)
            c.open_gate()
            for job_id in held:
                self.assertEqual(self.wait_state(c, job_id, "SUCCEEDED")["attempts"][0]["attempt"], 1)
            starts = [line.split()[0] for line in c.read("journal").splitlines() if line.endswith(" start")]
            self.assertEqual(len(starts), len(set(starts)), "a job ran twice")
            print("8 jobs that ran all the while: each ended in its first attempt, none ran twice")

    def print_line(name, seconds):
        print(f"{name:12} min {min(seconds):6.2f}  median {statistics.median(seconds):6.2f}  max {max(seconds):6.2f} s   "
              + " ".join(f"{value:.2f}" for value in seconds), flush=True)

    import unittest
    result = unittest.TextTestRunner(verbosity=0).run(Failover())
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
