"""What the end-to-end tests share: an installed LTS in a folder of its own, its scripts and programs, and the certainty
that nothing is left running.

Every process that a test starts, directly or through bin/*.sh, carries the environment variable LTS_E2E_RUN. A watchdog,
detached from the test, waits for the end of the test's process, however that comes, and ends what still carries it.
"""

import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import uuid

TREE = os.environ.get("LTS_E2E_TREE", "")          # an installed tree
PROGRAMS = os.environ.get("LTS_E2E_PROGRAMS", "")  # test programs and plugins
DEADLINE_S = float(os.environ.get("LTS_E2E_DEADLINE_S", "60"))
SEED = int(os.environ.get("LTS_E2E_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
RUN_ID = uuid.uuid4().hex
_TAG = b"LTS_E2E_RUN=" + RUN_ID.encode()


def tagged_pids():
    """The processes of this run that are alive, without this one."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if _TAG not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{name}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] == b"Z":
                    continue
        except OSError:
            continue
        found.append(int(name))
    return found


def end_all():
    """Kills what is left of this run. Twice, since the first round may meet a process that was just starting another."""
    for _ in range(3):
        for pid in tagged_pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def _start_watchdog():
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.close(write_end)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.read(read_end, 1)  # returns when the test's process has ended
        end_all()
        os._exit(0)
    os.waitpid(child, 0)
    os.close(read_end)
    os.set_inheritable(write_end, False)
    return write_end


_watchdog = _start_watchdog()  # before the variable is set: it must not end itself
os.environ["LTS_E2E_RUN"] = RUN_ID


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def wait_until(condition, what, deadline_s=None, every_s=0.02):
    """Waits until condition() is true, and gives its value; fails with `what` after the deadline."""
    end = time.monotonic() + (DEADLINE_S if deadline_s is None else deadline_s)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within the deadline: {what() if callable(what) else what}")
        time.sleep(every_s)  # between two looks, not instead of one


def free_port():
    """A port that nobody listens at now, below the range from which the kernel gives ports to clients."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


class Output:
    """How a program ended and what it printed."""

    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err

    def __str__(self):
        return f"{' '.join(map(str, self.args))}\nexit code {self.code}\nstdout: {self.out}\nstderr: {self.err}"

    def json(self):
        """One object a line."""
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]


class Home:
    """An LTS as a user has it: a copy of the installed tree, with conf/ of its own. The path has a blank."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "lts home")

        def link(source, target):
            # conf/ is edited in place; the rest is shared with the tree.
            if os.sep + "conf" + os.sep in source:
                return shutil.copy2(source, target)
            try:
                return os.link(source, target, follow_symlinks=False)
            except OSError:
                return shutil.copy2(source, target, follow_symlinks=False)

        shutil.copytree(TREE, self.folder, copy_function=link, symlinks=True)
        self.port = free_port()
        self.env = {"LTS_RESTART_DELAY_S": "0", "LTS_START_TIMEOUT_S": str(int(DEADLINE_S))}
        self.set("conf/standalone/jobtracker.cfg", listenPort=self.port)
        self.set("conf/tasktracker.cfg", registryAddress=f"jobtracker://127.0.0.1:{self.port}")
        self.set("conf/jobclient.cfg", registryAddress=f"jobtracker://127.0.0.1:{self.port}")

    @property
    def registry(self):
        return f"jobtracker://127.0.0.1:{self.port}"

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def read(self, *parts):
        try:
            with open(self.path(*parts), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def set(self, config, **options):
        """Sets options of a properties file; dots in their names are written as __."""
        wanted = {key.replace("__", "."): value for key, value in options.items()}
        lines = self.read(config).splitlines()
        kept = [line for line in lines if line.split("=")[0].strip() not in wanted]
        with open(self.path(config), "w", encoding="utf-8") as file:
            file.write("\n".join(kept + [f"{key}={value}" for key, value in wanted.items()]) + "\n")

    def use_test_runners(self):
        """The plugin of the tests beside the shipped one; the journal and the gate lie in the home."""
        shutil.copy2(os.path.join(PROGRAMS, "lts_e2e_runners.so"), self.path("lib/plugins"))
        self.set("conf/tasktracker.cfg", runner__journal__file=self.path("journal"),
                 runner__journal__gate=self.path("gate"))

    def open_gate(self):
        """From now on no run of the journal runner is held."""
        with open(self.path("gate"), "w", encoding="utf-8"):
            pass

    def run(self, *args, stdin="", env=None, timeout=None, cwd=None):
        """Runs a program to its end. Its output goes to files: a daemon that it leaves behind may keep them open."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as into:
            into.write(stdin if isinstance(stdin, bytes) else stdin.encode())
            into.seek(0)
            process = subprocess.Popen([str(arg) for arg in args], stdin=into, stdout=out, stderr=err, cwd=cwd,
                                       env={**os.environ, **self.env, **(env or {})})
            try:
                code = process.wait(timeout or 2 * DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                out.seek(0), err.seek(0)
                raise AssertionError(f"does not end: {args}\n{out.read()}\n{err.read()}") from None
            out.seek(0), err.seek(0)
            return Output(args, code, out.read().decode(errors="replace"), err.read().decode(errors="replace"))

    def background(self, *args, env=None, **keywords):
        return subprocess.Popen([str(arg) for arg in args], env={**os.environ, **self.env, **(env or {})}, **keywords)

    def jobtracker(self, verb, name="standalone", env=None):
        return self.run(self.path("bin/jobtracker.sh"), name, verb, env=env)

    def tasktracker(self, verb, name=None, env=None):
        return self.run(self.path("bin/tasktracker.sh"), *([name] if name else []), verb, env=env)

    def cli(self, *args, stdin="", env=None, timeout=None):
        """bin/jobclient, which finds the cluster by conf/jobclient.cfg."""
        return self.run(self.path("bin/jobclient"), *args, stdin=stdin, env=env, timeout=timeout)

    def ready_info(self, daemon, name):
        text = self.read(f"pid/{daemon}-{name}.json")
        return json.loads(text) if text else None

    def pid(self, daemon, name):
        text = self.read(f"pid/{daemon}-{name}.pid").strip()
        return int(text) if text else None

    def get(self, daemon, name, page):
        """(status, body) of a page at ops.listen."""
        info = self.ready_info(daemon, name)
        if not info or not info.get("ops"):
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://{info['ops']}{page}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def out(self, daemon, name):
        """What the daemon has printed and logged."""
        return self.read(f"logs/{daemon}-{name}.out")


def lines_of(pipe, count):
    """So many lines from a pipe, each within the deadline."""
    lines, buffer = [], b""
    end = time.monotonic() + DEADLINE_S
    while len(lines) < count:
        ready, _, _ = select.select([pipe], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise AssertionError(f"{len(lines)} of {count} lines within the deadline: {lines} {buffer}")
        byte = os.read(pipe.fileno(), 1)
        if not byte:
            raise AssertionError(f"it ended after {len(lines)} of {count} lines: {lines} {buffer}")
        buffer += byte
        if byte == b"\n":
            lines.append(buffer.decode())
            buffer = b""
    return lines


class EndToEnd(unittest.TestCase):
    """A test with a temp folder and homes in it; at a failure it shows what the daemons logged."""

    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lts-e2e-", dir=os.environ.get("LTS_E2E_WORK") or None)
        self.homes = []
        self.addCleanup(self._clean)

    def _clean(self):
        result = self._outcome.result  # has the failure of this test by now
        failed = any(test is self for test, _ in result.failures + result.errors)
        end_all()
        if failed:
            for home in self.homes:
                logs = home.path("logs")
                for name in sorted(os.listdir(logs)) if os.path.isdir(logs) else []:
                    tail = home.read("logs", name).splitlines()[-60:]
                    print(f"---- {name}\n" + "\n".join(tail), file=sys.stderr)
            if os.environ.get("LTS_E2E_KEEP"):
                print(f"---- kept: {self.folder}", file=sys.stderr)
                return
        wait_until(lambda: not tagged_pids(), "processes are left", 10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def home(self, name="a"):
        made = Home(os.path.join(self.folder, name))
        self.homes.append(made)
        return made

    def ok(self, output, code=0):
        self.assertEqual(output.code, code, str(output))
        return output

    def started(self, test_runners=True, jobtracker=None, tasktracker=None):
        """A home with a JobTracker and a TaskTracker that is connected."""
        home = self.home()
        if test_runners:
            home.use_test_runners()
        home.set("conf/standalone/jobtracker.cfg", **(jobtracker or {}))
        home.set("conf/tasktracker.cfg", **(tasktracker or {}))
        self.ok(home.jobtracker("start"))
        self.ok(home.tasktracker("start"))
        self.connected(home)
        return home

    def connected(self, home, name=None):
        wait_until(lambda: home.tasktracker("status", name).code == 0, "the TaskTracker is not connected")

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "it survives kill -9")

    def submitter(self, home, *args, answers="answers"):
        """A program with a JobClient that stays until its standard input is closed (with --store)."""
        return home.background(os.path.join(PROGRAMS, "lts_e2e_submitter"), "--registry", home.registry, "--group", "demo",
                               "--answers", home.path(answers), *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def kept_records(self, home, name="tasktracker"):
        """How many records the TaskTracker's FailStore holds, as its metrics tell."""
        _, text = home.get("tasktracker", name, "/metrics")
        return sum(float(line.split()[-1]) for line in text.splitlines()
                   if line.startswith('lts_limit_current{limit="job.fail.store.count.max"}'))

    def submit(self, home, task, *args, group="demo", code=0):
        """Submits one job; gives the receipt."""
        return self.ok(home.cli("submit", "--group", group, "--task", task, *args, "-o", "json"), code).json()[0]

    def act(self, home, task, action, *args, code=0, **params):
        pairs = [item for key, value in {"action": action, **params}.items() for item in ("--param", f"{key}={value}")]
        return self.submit(home, task, "--runner", "act", *pairs, *args, code=code)

    def view(self, home, job_id):
        return self.ok(home.cli("get", job_id, "-o", "json")).json()[0]

    def wait_state(self, home, job_id, *states, deadline_s=None):
        """Waits until the job is in one of these states; gives its view."""
        seen = {}

        def look():
            seen["view"] = self.view(home, job_id)
            return seen["view"]["state"] in states

        wait_until(look, lambda: f"{job_id} in {states}: {seen['view']}", deadline_s)
        return seen["view"]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"seed {SEED} (LTS_E2E_SEED)", file=sys.stderr)
    unittest.main(verbosity=2)
