"""The processes of a chaos run and their folders: ZooKeeper, MariaDB, JobTrackers, TaskTrackers and clients, each on a
node of the network. Every start and every end is written down with its time in the file `lives`: "TIME NODE PID up|down".
All times are milliseconds of the monotonic clock.
"""

import json
import mmap
import os
import secrets
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

import harness

ZK_JARS = ("/usr/share/java/zookeeper.jar", "/usr/share/java/slf4j-simple.jar")
CLIENT_PORT, QUORUM_PORT, ELECTION_PORT, DB_PORT, JT_PORT = 2181, 2888, 3888, 3306, 35001
# How libjobclient, the CLI and the TaskTracker find the JobTrackers: in ZooKeeper, or by a list of addresses.
NODES_DIAL_ZOOKEEPER = True

# Short leases make short faults long enough.
LEASES = {
    "zk_tick_ms": 500,
    "zk_session_ms": 4000,
    "cluster_lease_ms": 2000,
    "tasktracker_lease_ms": 10_000,
    "kill_grace_ms": 2000,
}


def now_ms():
    return time.monotonic_ns() // 1_000_000


class Process:
    """One program on one node, over all its lives."""

    def __init__(self, cluster, name, argv, env=None, stdin=None):
        self.cluster, self.name, self._argv, self._env, self._stdin = cluster, name, argv, env or {}, stdin
        self.popen, self.lives = None, 0
        self.wanted = False            # it is meant to run
        self.lock = threading.RLock()  # of its coming and going

    def __str__(self):
        return self.name

    @property
    def pid(self):
        return self.popen.pid

    @property
    def log(self):
        return self.cluster.path("logs", self.name)

    def start(self):
        with self.lock:
            self._start()
            return self

    def _start(self):
        assert not self.runs(), f"{self} runs already"
        self.before_start()
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(self.cluster.network.inside(self.name, self._argv), stdout=log, stderr=log,
                                          stdin=self._stdin or subprocess.DEVNULL, start_new_session=True,
                                          env={**os.environ, **self.cluster.env, **self._env})
        self.lives += 1
        self.wanted = True
        self.cluster.lived(self, "up")

    def before_start(self):
        pass

    def runs(self):
        return self.popen is not None and self.popen.poll() is None

    def state(self):
        """The state letter of the kernel: T when it is stopped by a signal."""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0]
        except OSError:
            return "-"

    def kill(self):
        """kill -9, and it is gone."""
        with self.lock:
            self.wanted = False
            self.popen.kill()
            self.popen.wait(30)
            self.cluster.lived(self, "down")

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)
        harness.wait_until(lambda: self.state() == "T", f"{self} is not stopped by SIGSTOP", 10)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def stop(self, deadline_s=60):
        """SIGTERM; gives the exit code, None when it had to be killed."""
        with self.lock:
            self.wanted = False
            self.popen.terminate()
        try:
            code = self.popen.wait(deadline_s)
        except subprocess.TimeoutExpired:
            code = None
            self.popen.kill()
            self.popen.wait(30)
        self.cluster.lived(self, "down")
        return code

    def tail(self, lines=30):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except OSError:
            return ""

    def wait_ready(self, deadline_s=60):
        def ready():
            if not self.runs():
                raise AssertionError(f"{self} has ended with {self.popen.returncode}:\n{self.tail()}")
            return self.is_ready()
        harness.wait_until(ready, lambda: f"{self} is not ready:\n{self.tail()}", deadline_s, 0.05)
        return self

    def is_ready(self):
        return True


class Server(Process):
    """Ready when it listens."""

    port = 0

    def is_ready(self):
        try:
            socket.create_connection((self.cluster.network.address(self.name), self.port), 1).close()
            return True
        except OSError:
            return False


class ZooKeeper(Server):
    port = CLIENT_PORT


class MariaDb(Server):
    port = DB_PORT


class Daemon(Process):
    """A jobtracker or tasktracker: ready when its JSON says so."""

    daemon = ""

    def _json(self):
        return self.cluster.path("pid", f"{self.daemon}-{self.name}.json")

    def before_start(self):
        try:
            os.remove(self._json())  # of a killed one
        except FileNotFoundError:
            pass

    def info(self):
        try:
            with open(self._json(), encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return None

    def is_ready(self):
        info = self.info()
        return bool(info and info.get("ready") and info.get("pid") == self.pid)

    def metrics(self):
        """{name: {labels: value}}, empty when it does not answer at once."""
        info = self.info()
        if not info or not info.get("ops"):
            return {}
        try:
            with urllib.request.urlopen(f"http://{info['ops']}/metrics", timeout=2) as response:
                text = response.read().decode()
        except (OSError, urllib.error.URLError):
            return {}
        found = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, _, value = line.rpartition(" ")
            name, _, labels = name.partition("{")
            found.setdefault(name, {})[labels.rstrip("}")] = float(value)
        return found


class JobTracker(Daemon):
    daemon = "jobtracker"

    def __init__(self, cluster, name, argv, env):
        self.clock = ClockFile(cluster.path("clocks", name))
        super().__init__(cluster, name, argv, {**env, "LTS_E2E_CLOCK_FILE": self.clock.path,
                                               "LD_PRELOAD": os.path.join(harness.PROGRAMS, "lts_e2e_clock.so")})

    def load(self):
        """What it owns and runs, and what waits in its memory, a second old at most."""
        metrics = self.metrics()
        serving = metrics.get("lts_partition_serving", {})
        owned = [labels for labels, value in serving.items() if value == 1]

        def total(name):
            return int(sum(metrics.get(name, {}).get(labels, 0) for labels in owned))
        limits = metrics.get("lts_limit_current", {})
        numbers = [labels.partition('"')[2].rstrip('"') for labels in owned]

        def used(limit):
            return int(sum(limits.get(f'limit="{limit}/{number}"', 0) for number in numbers))
        return {"partitions": len(owned), "running": total("lts_jobs_executing"), "waiting": used("partition.window.max"),
                "schedules": used("schedules.max")}


class TaskTracker(Daemon):
    daemon = "tasktracker"


class ClockFile:
    """The clock of a process under lts_e2e_clock.so."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(b"\0" * 16)
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)

    def set(self, offset_ms):
        self._map[0:8] = struct.pack("q", offset_ms * 1_000_000)

    def offset_ms(self):
        return struct.unpack("q", self._map[0:8])[0] // 1_000_000

    def served(self):
        """How often an offset time was given out."""
        return struct.unpack("q", self._map[8:16])[0]


class Cluster:
    """jobtrackers, tasktrackers: how many; groups: the node groups of the TaskTrackers, which take turns."""

    def __init__(self, folder, network, jobtrackers=3, tasktrackers=8, groups=4, slots=60, faults=""):
        self.folder, self.network = folder, network
        self.groups = [f"g{n}" for n in range(groups)]
        self.env = {"LTS_HOME": folder}
        self._disks = []
        for name in ("logs", "pid", "conf", "clocks", "runs", "clients", "disks", "tmp"):
            os.makedirs(self.path(name))
        self._lives = open(self.path("lives"), "a", encoding="utf-8", buffering=1)
        self._password = secrets.token_hex(16)
        self.zookeepers = [self._zookeeper(n, network.add(f"zk{n}")) for n in (1, 2, 3)]
        self._configure_zookeepers()
        network.add("db")
        self.db = self._mariadb()
        names = [f"jt{n + 1}" for n in range(jobtrackers)]
        for name in names:
            network.add(name)
        self.zookeeper_address = "zookeeper://" + ",".join(
            f"{network.address(zk.name)}:{CLIENT_PORT}" for zk in self.zookeepers)
        self.registry = self.zookeeper_address if NODES_DIAL_ZOOKEEPER else "jobtracker://" + ",".join(
            f"{network.address(name)}:{JT_PORT}" for name in names)
        self.jobtrackers = [self._jobtracker(name, faults) for name in names]
        self.tasktrackers = [self._tasktracker(f"tt{n + 1}", self.groups[n % groups], slots)
                             for n in range(tasktrackers)]

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, *parts, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(*parts)), exist_ok=True)
        with open(os.open(self.path(*parts), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(*parts)

    def lived(self, process, what):
        self._lives.write(f"{now_ms()} {process.name} {process.pid} {what}\n")

    def disk(self, name, size_mb):
        """A small file system of its own, that a fault can fill."""
        path = self.path("disks", name)
        os.makedirs(path)
        self._disks.append(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", path], check=True)
        return path

    # ---- what is started

    def _zookeeper(self, number, _address):
        config = self.path(f"zk{number}", "zoo.cfg")
        argv = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
                "-Djava.net.preferIPv4Stack=true", "-Dzookeeper.jmx.log4j.disable=true",
                # Processes end here, never the machine.
                "-Dzookeeper.forceSync=no", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", ":".join(ZK_JARS),
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", config]
        return ZooKeeper(self, f"zk{number}", argv)

    def _configure_zookeepers(self):
        for jar in ZK_JARS:
            if not os.path.exists(jar):
                raise AssertionError(f"{jar} is missing: scripts/install-deps.sh cluster installs ZooKeeper")
        quorum = "".join(f"server.{n + 1}={self.network.address(zk.name)}:{QUORUM_PORT}:{ELECTION_PORT}\n"
                         for n, zk in enumerate(self.zookeepers))
        for n, zk in enumerate(self.zookeepers):
            data = self.path(zk.name, "data")
            self.write(zk.name, "data", "myid", text=f"{n + 1}\n")
            self.write(zk.name, "zoo.cfg", text=(
                f"tickTime={LEASES['zk_tick_ms']}\ninitLimit=20\nsyncLimit=6\nmaxSessionTimeout=60000\ndataDir={data}\n"
                f"clientPortAddress={self.network.address(zk.name)}\nclientPort={CLIENT_PORT}\nmaxClientCnxns=0\n"
                f"admin.enableServer=false\n4lw.commands.whitelist=srvr\n{quorum}"))

    def _mariadb(self):
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        done = subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={self.path('db')}", "--skip-test-db", "--skip-name-resolve",
             # Temporary files are named by process ids, which are the same in every process namespace.
             f"--tmpdir={self.path('tmp')}", "--auth-root-authentication-method=normal", "--force", *as_root], check=False, capture_output=True, text=True,
            env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        if done.returncode != 0:
            raise AssertionError(f"the data folder of MariaDB could not be made: {done.stdout}{done.stderr}")
        init = self.write("db.sql", mode=0o600, text=(
            "CREATE DATABASE IF NOT EXISTS lts CHARACTER SET utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS lts@'%' IDENTIFIED BY '{self._password}';\nGRANT ALL ON lts.* TO lts@'%';\n"))
        return MariaDb(self, "db", [
            "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.path('db')}", f"--port={DB_PORT}",
            f"--bind-address={self.network.address('db')}", "--socket=s", f"--pid-file={self.path('db.pid')}",
            f"--init-file={init}", "--skip-name-resolve", "--innodb-buffer-pool-size=256M",
            f"--tmpdir={self.path('tmp')}", *as_root])

    def _jobtracker(self, name, faults):
        self.write("conf", name, "jdbc.password", text=self._password + "\n", mode=0o600)
        address = self.network.address(name)
        config = self.write("conf", name, "jobtracker.cfg", text=(
            f"clusterName=chaos\nregistryAddress={self.zookeeper_address}\nbindIp={address}\nlistenPort={JT_PORT}\n"
            f"ops.listen={address}:0\nconfigs.job.queue=mysql\n"
            f"configs.jdbc.url=jdbc:mysql://{self.network.address('db')}:{DB_PORT}/lts\nconfigs.jdbc.username=lts\n"
            f"configs.jdbc.password_file=jdbc.password\nzk.session.timeout={LEASES['zk_session_ms']}ms\n"
            f"cluster.lease={LEASES['cluster_lease_ms']}ms\ntasktracker.lease={LEASES['tasktracker_lease_ms']}ms\n"
            f"kill.grace={LEASES['kill_grace_ms']}ms\njob.max.lost.times=1000\n"))
        argv = [os.path.join(harness.TREE, "bin", "jobtracker"), "--config", config, "--name", name]
        return JobTracker(self, name, argv, {"LTS_TEST_FAULTS": faults} if faults else {})

    def _tasktracker(self, name, group, slots):
        address = self.network.add(name)
        config = self.write("conf", name, "tasktracker.cfg", text=(
            f"clusterName=chaos\nregistryAddress={self.registry}\nnodeGroup={group}\nworkThreads={slots}\n"
            f"ops.listen={address}:0\nkill.grace={LEASES['kill_grace_ms']}ms\n"
            f"runner.plugins={os.path.join(harness.PROGRAMS, 'lts_e2e_chaos.so')}\nrunner.default=chaos\n"
            f"runner.chaos.file={self.path('runs', name)}\ndataPath={self.disk(name, 64)}\n"))
        argv = [os.path.join(harness.TREE, "bin", "tasktracker"), "--config", config, "--name", name]
        made = TaskTracker(self, name, argv)
        made.group = group
        return made

    # ---- all together

    def start(self):
        for process in (*self.zookeepers, self.db):
            process.start()
        for process in (*self.zookeepers, self.db):
            process.wait_ready(90)
        self.wait_ensemble()
        for tracker in self.jobtrackers:
            tracker.start()
        for tracker in self.jobtrackers:
            tracker.wait_ready(90)
        for tracker in self.tasktrackers:
            tracker.start()
        for tracker in self.tasktrackers:
            tracker.wait_ready(90)
        harness.wait_until(lambda: all(tracker.load()["partitions"] for tracker in self.jobtrackers),
                           "a JobTracker owns nothing", 30, 0.2)

    def zookeeper_mode(self, zk):
        """leader, follower, or nothing when it serves nobody."""
        try:
            with socket.create_connection((self.network.address(zk.name), CLIENT_PORT), 1) as connection:
                connection.settimeout(2)
                connection.sendall(b"srvr")
                text = b""
                while chunk := connection.recv(4096):
                    text += chunk
        except OSError:
            return ""
        return next((line.split()[1].decode() for line in text.splitlines() if line.startswith(b"Mode:")), "")

    def wait_ensemble(self, deadline_s=60):
        harness.wait_until(lambda: all(self.zookeeper_mode(zk) for zk in self.zookeepers),
                           "the ZooKeeper ensemble has no quorum", deadline_s, 0.1)

    def sql(self, statement, timeout=120):
        """The rows of a query, as lists of text."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", "--protocol=tcp", f"--host={self.network.address('db')}", f"--port={DB_PORT}",
             "--user=lts", "--batch", "--skip-column-names", "--quick", "lts", "-e", statement],
            check=False, capture_output=True, text=True, timeout=timeout, env={**os.environ, "MYSQL_PWD": self._password})
        if done.returncode != 0:
            raise AssertionError(f"{statement}: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def cli(self, *args, timeout=120):
        return subprocess.run([os.path.join(harness.TREE, "bin", "jobclient"), "--registry", self.registry, *args],
                              check=False, capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, **self.env, "LTS_CLUSTERNAME": "chaos"})

    def processes(self):
        return [*self.zookeepers, self.db, *self.jobtrackers, *self.tasktrackers]

    def end(self):
        """Ends all at once; no more is asked of them. Mounts go too."""
        for process in self.processes():
            if process.runs():
                process.popen.kill()
        for process in self.processes():
            if process.popen is not None:
                process.popen.wait(30)
        for path in self._disks:
            subprocess.run(["umount", "-l", path], check=False)
