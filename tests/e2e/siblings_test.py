"""Four processes of one group, two of them killed while no JobTracker is there: the other two bring everything."""

import collections
import json
import os
import subprocess

import harness

ADOPT = "200ms"


class Siblings(harness.EndToEnd):
    def ended(self, home):
        return self.ok(home.cli("attempts", "--group", "demo", "--all", "-o", "json")).json()

    def wait_ended(self, home, count):
        harness.wait_until(lambda: home.read("journal").count("end\n") >= count,
                           lambda: f"{home.read('journal').count('end' + chr(10))} of {count} runs have ended")
        harness.wait_until(lambda: len(self.ended(home)) >= count, lambda: f"{len(self.ended(home))} of {count} jobs have ended")
        rows = self.ended(home)
        self.assertEqual(len(rows), count)
        self.assertEqual({(row["attempt"], row["outcome"]) for row in rows}, {(1, "EXECUTE_SUCCESS")})
        starts = [line.split()[0] for line in home.read("journal").splitlines() if line.endswith(" start")]
        self.assertEqual(len(starts), len(set(starts)), "a job ran twice")
        return starts

    def gone(self, home, *folders):
        for folder in folders:
            harness.wait_until(lambda: not os.path.exists(home.path(folder)), f"{folder} is not taken over")

    def no_records(self, home, folder):
        listed = self.ok(home.cli("failstore", "list", "--path", home.path(folder), "-o", "json"))
        self.assertEqual(listed.json(), [], str(listed))

    def clients(self, engine):
        home = self.home()
        home.use_test_runners()
        count = 250
        clients = []
        for i in range(4):
            clients.append(self.submitter(home, "--prefix", f"c{i}", "--count", count, "--batch", 50,
                                          "--store", home.path("client"), "--engine", engine, "--adopt-ms", 200,
                                          answers=f"answers{i}"))
            # Before the next one starts, so that client i has folder i.
            self.assertEqual(harness.lines_of(clients[i].stdout, 1), [f"DONE {count}\n"])
        base = "client/JOB_CLIENT/e2e_submitter"
        for i in range(4):
            self.assertEqual(home.read(base, str(i), "ENGINE").strip(), engine)
        for i in (0, 2):
            self.kill(clients[i].pid)
            clients[i].communicate()
        self.gone(home, f"{base}/0", f"{base}/2")

        # One slot: the order of running is the order of dispatch.
        home.set("conf/tasktracker.cfg", workThreads=1)
        self.ok(home.jobtracker("start"))
        self.ok(home.tasktracker("start"))
        starts = self.wait_ended(home, 4 * count)
        for i in range(4):
            answers = [line.split() for line in home.read(f"answers{i}").splitlines()]
            self.assertEqual({outcome for _, _, outcome in answers}, {"STORED"})
            ids = [job_id for job_id, _, _ in answers]
            self.assertEqual(len(ids), count)
            self.assertEqual([job_id for job_id in starts if job_id in set(ids)], ids, f"the submit order of client {i} is lost")
        for i in (1, 3):
            clients[i].communicate(timeout=harness.DEADLINE_S)
            self.assertEqual(clients[i].returncode, 0)
        self.no_records(home, base)

    def test_records_of_another_engine_are_named_not_mixed(self):
        home = self.home()

        def store(engine, task):
            return home.cli("submit", "--group", "demo", "--task", task, "--store", "-o", "json",
                            env={"LTS_JOB_FAIL_STORE": engine})
        folder = home.path("data/jobclient/JOB_CLIENT/lts/0")
        kept = self.ok(store("leveldb", "a")).json()[0]["jobId"]
        refused = self.ok(store("rocksdb", "b"), 2)
        for text in (folder, "job.fail.store=leveldb", "job.fail.store=rocksdb"):
            self.assertIn(text, refused.err)
        # Whatever the setting, the command looks into it; emptied, it is given up to the other engine.
        listed = self.ok(home.cli("failstore", "list", "-o", "json")).json()
        self.assertEqual([(row["jobId"], row["folder"]) for row in listed], [(kept, folder)])
        self.ok(home.cli("failstore", "drop", listed[0]["id"]))
        self.assertEqual(self.ok(store("rocksdb", "b")).json()[0]["outcome"], "STORED")
        self.assertEqual(home.read("data/jobclient/JOB_CLIENT/lts/0/ENGINE"), "rocksdb\n")

        # The same for a TaskTracker, which does not start.
        home.set("conf/tasktracker.cfg", configs__job__fail__store="leveldb", dataPath="data/tt")
        os.makedirs(home.path("data/tt/TASK_TRACKER/demo/tasktracker"))
        os.rename(folder, home.path("data/tt/TASK_TRACKER/demo/tasktracker/0"))
        started = self.ok(home.tasktracker("start"), 1)
        self.assertIn("job.fail.store=rocksdb", started.err)

    def test_jobs_of_killed_clients_arrive_through_the_others_with_rocksdb(self):
        self.clients("rocksdb")

    def test_jobs_of_killed_clients_arrive_through_the_others_with_leveldb(self):
        self.clients("leveldb")

    def agents(self, engine):
        home = self.home()
        home.use_test_runners()
        home.set("conf/jobclient.cfg", configs__job__fail__store=engine, job__fail__store__adopt__period=ADOPT,
                 nodeGroup="shop")
        base = "data/jobclient/JOB_CLIENT/shop"
        agents = []
        for i in range(4):
            agents.append(home.background(home.path("bin/jobclient"), "agent", stdout=subprocess.DEVNULL,
                                          stderr=subprocess.PIPE))
            self.assertIn(f"{base}/{i}", harness.lines_of(agents[i].stderr, 1)[0])
        jobs = 0
        for some in range(3):
            lines = [json.dumps({"taskId": f"t{some}-{i}", "taskTrackerNodeGroup": "demo", "runner": "journal"})
                     for i in range(40)]
            stored = self.ok(home.cli("submit", "--store", "--file", "-", "-o", "json", stdin="\n".join(lines)))
            self.assertEqual({row["outcome"] for row in stored.json()}, {"STORED"}, str(stored))
            self.gone(home, f"{base}/4")  # one of the agents has them now
            jobs += len(lines)
        for agent in agents[:2]:
            self.kill(agent.pid)
            agent.communicate()
        self.gone(home, f"{base}/0", f"{base}/1")
        self.ok(home.jobtracker("start"))
        self.ok(home.tasktracker("start"))
        self.wait_ended(home, jobs)
        for agent in agents[2:]:
            agent.terminate()
            agent.communicate(timeout=harness.DEADLINE_S)
            self.assertEqual(agent.returncode, 0)
        self.no_records(home, base)

    def test_jobs_of_killed_agents_arrive_through_the_others_with_rocksdb(self):
        self.agents("rocksdb")

    def test_jobs_of_killed_agents_arrive_through_the_others_with_leveldb(self):
        self.agents("leveldb")

    def tasktrackers(self, engine):
        home = self.home()
        home.use_test_runners()
        shared = {"workThreads": 5, "dataPath": "data/shared", "configs__job__fail__store": engine,
                  "job__fail__store__adopt__period": ADOPT}
        home.set("conf/tasktracker.cfg", **shared)
        names = [f"w{i}" for i in range(4)]
        for name in names:
            os.mkdir(home.path("conf", name))
            os.rename(home.path("conf/tasktracker.cfg"), home.path("conf", name, "tasktracker.cfg"))
            with open(home.path("conf/tasktracker.cfg"), "w", encoding="utf-8") as file:
                file.write(home.read("conf", name, "tasktracker.cfg"))
        self.ok(home.jobtracker("start"))
        for name in names:
            self.ok(home.tasktracker("start", name))
            self.connected(home, name)
        lines = [json.dumps({"taskId": f"t{i}", "taskTrackerNodeGroup": "demo", "runner": "journal",
                             "params": {"hold_ms": "600000", "log": "1"}}) for i in range(20)]
        ids = {row["jobId"] for row in self.ok(home.cli("submit", "--file", "-", "-o", "json", stdin="\n".join(lines))).json()}
        self.assertEqual(len(ids), 20)
        harness.wait_until(lambda: home.read("journal").count("start\n") == 20, "20 jobs do not run")
        self.kill(home.pid("jobtracker", "standalone"))
        home.open_gate()
        # Five results each, and the lines of the log.
        for name in names:
            harness.wait_until(lambda: self.kept_records(home, name) >= 6,
                               lambda: f"{name} keeps {self.kept_records(home, name)} records")
        for name in names[:2]:
            self.kill(int(home.read(f"pid/tasktracker-{name}.supervisor")))
            self.kill(home.pid("tasktracker", name))
        base = "data/shared/TASK_TRACKER/demo"
        self.gone(home, f"{base}/w0/0", f"{base}/w1/0")
        self.assertEqual(home.read(base, "w2/0/ENGINE").strip(), engine)

        self.ok(home.jobtracker("start"))
        starts = self.wait_ended(home, 20)
        self.assertEqual(set(starts), ids)
        for job_id in ids:
            harness.wait_until(lambda: self.log_lines(home, job_id) == 1, lambda: f"{job_id}: {self.log_lines(home, job_id)} lines")
        for name in names[2:]:
            harness.wait_until(lambda: self.kept_records(home, name) == 0,
                               lambda: f"{name} keeps {self.kept_records(home, name)} records")

    def log_lines(self, home, job_id):
        messages = collections.Counter(row["message"] for row in self.ok(home.cli("logs", job_id, "-o", "json")).json())
        return sum(count for message, count in messages.items() if message.startswith("ran "))

    def test_results_and_logs_of_killed_tasktrackers_arrive_through_the_others_with_rocksdb(self):
        self.tasktrackers("rocksdb")

    def test_results_and_logs_of_killed_tasktrackers_arrive_through_the_others_with_leveldb(self):
        self.tasktrackers("leveldb")


if __name__ == "__main__":
    harness.main()
