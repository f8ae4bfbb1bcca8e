"""The faults of a chaos run: each kind does its harm, confirms that it was done, and heals it.

Three lanes run side by side: the JobTrackers' (their clocks too), that of ZooKeeper and MariaDB, and that of
TaskTrackers, clients and FailStores. In each lane one fault follows the other as the seed says: which kind, how long, how
long it is quiet then; each kind once before one comes again, and at least once however short the run. Which JobTracker
it meets depends on who runs most just then. A fault that cannot be confirmed fails the run.

Each fault is one JSON object in the file `faults`: kind, target, begin and end (milliseconds of the monotonic clock),
what confirms it, and what the JobTrackers owned, ran and held in memory just before.
"""

import collections
import json
import os
import random
import threading
import time

import cluster
import harness

LEASES = cluster.LEASES
LANES = {
    "jobtrackers": ["jt_kill", "jt_pause", "jt_restart", "jt_freeze", "cut_jt_db", "cut_jt_db_long",
                    "cut_jt_db_past_lease", "cut_jt_zk", "cut_jt_stores", "cut_jt_stores_db_first", "cut_jt_jt",
                    "clock"],
    "stores": ["zk_node", "zk_ensemble", "cut_zk_zk", "db_restart", "db_freeze"],
    "others": ["tt_kill", "tt_pause", "tt_freeze", "client_kill", "tt_restart", "cut_tt_jt", "failstore_full", "cut_client_jt"],
}
# The stores fail less often: what happens when they are there counts, too.
QUIET_S = {"jobtrackers": (1, 3), "stores": (4, 14), "others": (1, 3)}
# What brings a planted fault to light.
REVEALING = {"no_store_fencing": ["cut_jt_stores_db_first"], "no_token_check": ["tt_freeze"],
             "fire_while_suspended": ["jt_restart"], "retry_survives_cancel": ["jt_restart"]}
KINDS = sorted(sum(LANES.values(), []))
ON_OWNER = LANES["jobtrackers"]


class NotConfirmed(AssertionError):
    pass


def confirm(condition, text):
    if not condition:
        raise NotConfirmed(f"a fault did not happen as meant: {text}")


class Director:
    def __init__(self, run, log):
        self.run_, self.cluster, self.network = run, run.cluster, run.network
        self.clients = run.clients
        self._log, self._lock, self._records = log, threading.Lock(), []
        self._stop, self._failures = threading.Event(), []
        self.deaths = []  # of processes that nobody has ended

    # ---- the schedule

    def run(self, seconds):
        options = self.run_.options
        only = [kind for kind in options.only.split(",") if kind] or REVEALING.get(options.negative)
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._watch, daemon=True)]
        for name, kinds in LANES.items():
            kinds = [kind for kind in kinds if not only or kind in only]
            if kinds:
                seed = f"{options.seed} {name}"
                threads.append(threading.Thread(target=self._lane, args=(kinds, QUIET_S[name], random.Random(seed), until),
                                                daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads[1:]:
            thread.join(seconds + 300)
            if thread.is_alive():
                self._failures.append(AssertionError("a lane of faults does not end"))
        self._stop.set()
        threads[0].join()
        if self._failures:
            raise self._failures[0]
        self._heal()

    def _lane(self, kinds, quiet_s, dice, until):
        try:
            bag, first = [], True
            while (first or time.monotonic() < until) and not self._stop.is_set():
                if not bag:
                    bag = list(kinds)
                    dice.shuffle(bag)
                self._one(bag.pop(), random.Random(dice.random()))
                first = first and bag
                # The pace of the schedule.
                self._stop.wait(dice.uniform(*quiet_s))
        except BaseException as failure:  # noqa: BLE001  told by run()
            self._failures.append(failure)
            self._stop.set()

    def _one(self, kind, dice):
        loads = {tracker.name: tracker.load() for tracker in self.cluster.jobtrackers if tracker.runs()}
        record = {"kind": kind, "loads": loads, "begin": cluster.now_ms()}
        try:
            getattr(self, "_" + kind)(record, dice)
        except AssertionError as failure:
            record["failure"] = str(failure)
            raise
        finally:
            record["end"] = cluster.now_ms()
            on = loads.get(record.get("target"))
            if kind in ON_OWNER and on:
                record.update(owned=on["partitions"], running=on["running"], waiting=on["waiting"])
            with self._lock:
                self._records.append(record)
                self._log.write(json.dumps(record) + "\n")
        shown = {key: value for key, value in record.items() if key not in ("kind", "loads", "begin", "end", "target")}
        print(f"{time.strftime('%H:%M:%S')} {kind} {record.get('target')} {record['end'] - record['begin']} ms {shown}",
              flush=True, file=self.run_.out)

    def _watch(self):
        """Looks for processes that end by themselves, and starts them again."""
        while not self._stop.wait(0.5):
            for process in (*self.cluster.processes(), *self.clients):
                with process.lock:
                    if not process.wanted or process.runs():
                        continue
                    self.deaths.append(f"{process} ended by itself with {process.popen.returncode}: {process.tail(8)}")
                    self.cluster.lived(process, "down")
                    process.start()

    def _heal(self):
        for tracker in self.cluster.jobtrackers:
            tracker.clock.set(0)
        for process in (*self.cluster.processes(), *self.clients):
            if not process.runs():
                process.start()
        self.cluster.db.wait_ready(90)
        self.cluster.wait_ensemble()
        for process in self.cluster.processes():
            process.wait_ready(90)

    def summary(self):
        counts = collections.Counter(record["kind"] for record in self._records)
        heavy = sum(record.get("running", 0) >= 50 for record in self._records)
        yield f"faults: {len(self._records)}, on an owner with at least 50 running jobs: {heavy}"
        for kind in KINDS:
            lengths = [record["end"] - record["begin"] for record in self._records if record["kind"] == kind]
            spread = f", {min(lengths)} to {max(lengths)} ms" if lengths else ""
            yield f"  {kind}: {counts[kind]}{spread}"

    # ---- whom it meets

    def _tracker(self, record, dice):
        """Mostly the JobTracker that runs most; in a calm run that of the most schedules."""
        candidates = [tracker for tracker in self.cluster.jobtrackers if tracker.runs()]
        busiest, any_ = dice.random() < 0.75, dice.choice(candidates)
        calm = self.run_.calm
        weight = {name: load["schedules" if calm else "running"] for name, load in record["loads"].items()}
        chosen = max(candidates, key=lambda tracker: weight.get(tracker.name, 0)) if busiest or calm else any_
        record["target"] = chosen.name
        return chosen

    def _worker(self, record, dice):
        chosen = dice.choice(self.cluster.tasktrackers)
        record["target"] = chosen.name
        return chosen

    def _client(self, record, dice, stored=None):
        chosen = dice.choice([client for client in self.clients if stored is None or bool(client.disk) == stored])
        record["target"] = chosen.name
        return chosen

    # ---- what it does

    def _hold(self, seconds):
        """How long a fault lasts: the pace of the schedule."""
        time.sleep(seconds)

    def _killed(self, process, record):
        process.kill()
        confirm(process.popen.returncode == -9 and process.state() == "-", f"{process} survives kill -9")
        record["confirmed"] = f"process {process.pid} gone"

    def _paused(self, process, record, seconds, longer_than_ms):
        with process.lock:
            process.pause()
            begun = cluster.now_ms()
        try:
            self._hold(seconds)
            lasted = cluster.now_ms() - begun
            confirm(process.state() == "T" and lasted > longer_than_ms, f"{process} was paused for {lasted} ms only")
            record.update(confirmed=f"stopped {lasted} ms, longer than {longer_than_ms} ms", since=begun)
        finally:
            process.resume()

    def _cut(self, record, side, other, seconds, longer_than_ms):
        cut = self.network.cut([p.name for p in side], [p.name for p in other])
        begun = cluster.now_ms()
        try:
            self._hold(seconds)
        finally:
            dropped = cut.heal()
        lasted = cluster.now_ms() - begun
        confirm(dropped > 0 and lasted > longer_than_ms, f"{dropped} bytes cut in {lasted} ms")
        record.update(confirmed=f"{dropped} bytes cut in {lasted} ms, longer than {longer_than_ms} ms", since=begun,
                      other=[p.name for p in other])

    def _up(self, tracker, record):
        """A supervisor's part: tries until the JobTracker has found all it needs."""
        for attempt in range(30):
            try:
                with tracker.lock:
                    if not tracker.runs():
                        tracker.start()
                        tracker.wanted = False  # it may end again: a store may be away
                tracker.wait_ready(90)
                tracker.wanted = True
                return
            except AssertionError:
                if attempt == 29 or tracker.runs():
                    raise
                record["starts"] = attempt + 2
                self._hold(1)

    def _restarted(self, process, record):
        code = process.stop()
        record["confirmed"] = f"SIGTERM, exit code {code}"
        if code != 0:
            self.deaths.append(f"{process} was asked to stop and ended with {code}: {process.tail(8)}")

    def _jt_kill(self, record, dice):
        tracker = self._tracker(record, dice)
        self._killed(tracker, record)
        self._hold(dice.choice([0, dice.uniform(0, 3), dice.uniform(3, 9)]))
        self._up(tracker, record)

    def _jt_pause(self, record, dice):
        longest = max(LEASES["cluster_lease_ms"], LEASES["zk_session_ms"])
        limit = dice.choice([LEASES["cluster_lease_ms"], longest])
        self._paused(self._tracker(record, dice), record, limit / 1000 + dice.uniform(0.3, 3), limit)

    def _jt_freeze(self, record, dice):
        """So long that others have taken over, TaskTrackers have moved and clients have sent again when it wakes."""
        limit = 2 * LEASES["zk_session_ms"]
        self._paused(self._tracker(record, dice), record, limit / 1000 + dice.uniform(0.5, 4), limit)

    def _jt_restart(self, record, dice):
        tracker = self._tracker(record, dice)
        self._restarted(tracker, record)
        self._hold(dice.choice([0, dice.uniform(0, 4)]))
        self._up(tracker, record)

    def _cut_jt_zk(self, record, dice):
        limit = LEASES["zk_session_ms"]
        self._cut(record, [self._tracker(record, dice)], self.cluster.zookeepers, limit / 1000 + dice.uniform(0.5, 4), limit)

    def _cut_jt_db(self, record, dice):
        limit = LEASES["cluster_lease_ms"]
        self._cut(record, [self._tracker(record, dice)], [self.cluster.db], limit / 1000 + dice.uniform(0.5, 4), limit)

    def _cut_jt_db_long(self, record, dice):
        """So long that another one has taken over and done the work again when the commit under way gets through."""
        limit = 2 * LEASES["zk_session_ms"]
        self._cut(record, [self._tracker(record, dice)], [self.cluster.db], limit / 1000 + dice.uniform(0, 3.5), limit)

    def _cut_jt_db_past_lease(self, record, dice):
        """So long that the new owner takes the TaskTrackers for lost that have stayed with the old one."""
        limit = LEASES["zk_session_ms"] + LEASES["tasktracker_lease_ms"] + LEASES["kill_grace_ms"]
        self._cut(record, [self._tracker(record, dice)], [self.cluster.db], limit / 1000 + dice.uniform(3, 8), limit)

    def _cut_jt_stores(self, record, dice):
        """Neither the database nor ZooKeeper can tell it that it has a successor; TaskTrackers and clients reach it."""
        limit = LEASES["zk_session_ms"] + LEASES["tasktracker_lease_ms"] + LEASES["kill_grace_ms"]
        self._cut(record, [self._tracker(record, dice)], [self.cluster.db, *self.cluster.zookeepers],
                  limit / 1000 + dice.uniform(3, 8), limit)

    def _cut_jt_stores_db_first(self, record, dice):
        """It reaches the database again before ZooKeeper: only the store can tell it that it has a successor, and until then
        it would serve beside that one."""
        tracker = self._tracker(record, dice)
        limit = 2 * LEASES["zk_session_ms"]
        cut = self.network.cut([tracker.name], [zk.name for zk in self.cluster.zookeepers])
        try:
            self._cut(record, [tracker], [self.cluster.db], limit / 1000 + dice.uniform(0, 3.5), limit)
            self._hold(dice.uniform(5, 8))
        finally:
            record["dropped"] = cut.heal()
        confirm(record["dropped"] > 0, f"{tracker} has not tried to reach ZooKeeper")

    def _cut_jt_jt(self, record, dice):
        tracker = self._tracker(record, dice)
        others = [other for other in self.cluster.jobtrackers if other is not tracker]
        limit = LEASES["cluster_lease_ms"]
        self._cut(record, [tracker], others, limit / 1000 + dice.uniform(0.5, 4), limit)

    def _clock(self, record, dice):
        tracker = self._tracker(record, dice)
        offset = dice.choice([-1, 1]) * dice.choice([dice.randrange(1000, 10_000), dice.randrange(30_000, 600_000)])
        before = tracker.clock.served()
        tracker.clock.set(offset)
        harness.wait_until(lambda: not tracker.runs() or tracker.clock.served() > before + 10,
                           lambda: f"{tracker} does not look at its clock", 30)
        record["confirmed"] = f"offset {offset} ms, seen {tracker.clock.served() - before} times"
        self._hold(dice.uniform(1, 3))

    def _zk_node(self, record, dice):
        zk = dice.choice(self.cluster.zookeepers)
        record.update(target=zk.name, mode=self.cluster.zookeeper_mode(zk))
        if dice.random() < 0.5:
            self._killed(zk, record)
        else:
            zk.stop()
            record["confirmed"] = f"SIGTERM, process {zk.pid} gone"
        self._hold(dice.uniform(0, 6))
        zk.start()
        zk.wait_ready()
        self.cluster.wait_ensemble()

    def _zk_ensemble(self, record, dice):
        record["target"] = "ensemble"
        for zk in self.cluster.zookeepers:
            self._killed(zk, record)
        record["confirmed"] = "all three gone"
        self._hold(dice.choice([0, dice.uniform(2, 8)]))
        for zk in self.cluster.zookeepers:
            zk.start()
        self.cluster.wait_ensemble()

    def _cut_zk_zk(self, record, dice):
        """One of the ensemble is alone, maybe its leader; clients reach it all the same."""
        zk = dice.choice(self.cluster.zookeepers)
        record.update(target=zk.name, mode=self.cluster.zookeeper_mode(zk))
        others = [other for other in self.cluster.zookeepers if other is not zk]
        limit = LEASES["zk_session_ms"]
        self._cut(record, [zk], others, limit / 1000 + dice.uniform(0.5, 4), limit)
        self.cluster.wait_ensemble()

    def _db_restart(self, record, dice):
        db = self.cluster.db
        record["target"] = db.name
        if dice.random() < 0.5:
            self._killed(db, record)
        else:
            db.stop()
            record["confirmed"] = f"SIGTERM, process {db.pid} gone"
        self._hold(dice.choice([0, dice.uniform(1, 6)]))
        db.start()
        db.wait_ready()

    def _db_freeze(self, record, dice):
        limit = LEASES["cluster_lease_ms"]
        record["target"] = self.cluster.db.name
        self._paused(self.cluster.db, record, limit / 1000 + dice.uniform(0.3, 5), limit)

    def _tt_kill(self, record, dice):
        worker = self._worker(record, dice)
        self._killed(worker, record)
        self._hold(dice.choice([0, dice.uniform(0, 3), LEASES["tasktracker_lease_ms"] / 1000 + dice.uniform(2.5, 5)]))
        worker.start()

    def _tt_pause(self, record, dice):
        limit = LEASES["tasktracker_lease_ms"]
        self._paused(self._worker(record, dice), record, limit / 1000 + dice.uniform(0.3, 2), limit)

    def _tt_freeze(self, record, dice):
        """So long that what it runs has been given to others when it wakes and reports."""
        limit = LEASES["tasktracker_lease_ms"] + LEASES["kill_grace_ms"]
        self._paused(self._worker(record, dice), record, limit / 1000 + dice.uniform(1, 4), limit)

    def _tt_restart(self, record, dice):
        worker = self._worker(record, dice)
        self._restarted(worker, record)
        self._hold(dice.choice([0, dice.uniform(0, 3)]))
        worker.start()

    def _cut_tt_jt(self, record, dice):
        limit = LEASES["tasktracker_lease_ms"]
        self._cut(record, [self._worker(record, dice)], self.cluster.jobtrackers, limit / 1000 + dice.uniform(0.5, 5), limit)

    def _client_kill(self, record, dice):
        client = self._client(record, dice)
        self._killed(client, record)
        self._hold(dice.choice([0, dice.uniform(0, 3)]))
        client.start()

    def _cut_client_jt(self, record, dice):
        self._cut(record, [self._client(record, dice)], self.cluster.jobtrackers, dice.uniform(4.5, 9), 4000)

    def _failstore_full(self, record, dice):
        """Nothing can be sent and nothing can be stored: the client has to say so."""
        client = self._client(record, dice, stored=True)
        ballast = os.path.join(client.disk, "ballast")
        where = client.answers()
        cut = self.network.cut([client.name], [tracker.name for tracker in self.cluster.jobtrackers])
        try:
            fill(ballast)
            free = os.statvfs(client.disk)
            confirm(free.f_bavail * free.f_frsize < 65536, "the disk is not full")

            def refused():
                with open(client.journal, "rb") as file:
                    file.seek(where)
                    return sum(b" A " in line and b" OK " not in line for line in file)
            harness.wait_until(refused, f"{client} refuses nothing though its FailStore's disk is full", 60, 0.2)
            self._hold(dice.uniform(0, 3))
            record["confirmed"] = f"disk of {client.disk_mb} MB full, {refused()} submits refused"
        finally:
            os.remove(ballast)
            record["dropped"] = cut.heal()


def fill(path):
    """Takes what is left of a file system, to the last byte."""
    with open(path, "ab", buffering=0) as file:
        block = b"\0" * 65536
        while block:
            try:
                if file.write(block) < len(block):
                    block = block[:len(block) // 2]
            except OSError:
                block = block[:len(block) // 2]
