#!/usr/bin/python3
"""bin/jobtracker.sh and bin/tasktracker.sh, run under dash against a daemon that only pretends.

usage: daemon_scripts_test.py SOURCE_FOLDER [unittest arguments]
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

SOURCE = sys.argv.pop(1)
PATIENCE_S = 60  # only bounds a test that hangs


class ScriptTest(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="lts scripts ")
        self.home = os.path.join(self.top, "a home")
        self.bin = os.path.join(self.home, "bin")
        os.makedirs(self.bin)
        for script in ("jobtracker.sh", "tasktracker.sh", "lts-common.sh"):
            shutil.copy(os.path.join(SOURCE, "scripts", script), self.bin)
        for daemon in ("jobtracker", "tasktracker"):
            path = os.path.join(self.bin, daemon)
            shutil.copy(os.path.join(SOURCE, "tests/unit/scripts/fake_daemon.py"), path)
            os.chmod(path, 0o755)
        self.configure("conf/zoo/jobtracker.cfg")
        self.configure("conf/tasktracker.cfg")

    def tearDown(self):
        # Whatever a failed test left is stopped by pid, supervisors first.
        pid_folder = os.path.join(self.home, "pid")
        names = os.listdir(pid_folder) if os.path.isdir(pid_folder) else []
        for ending in (".supervisor", ".pid"):
            for name in names:
                if name.endswith(ending):
                    self.kill(self.pid(name), signal.SIGKILL)
        shutil.rmtree(self.top, ignore_errors=True)

    def configure(self, path, **settings):
        path = os.path.join(self.home, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in settings.items())

    def run_script(self, *arguments, cwd=None, script="jobtracker.sh", path=None, **environment):
        env = {key: value for key, value in os.environ.items() if not key.startswith("LTS_")}
        env.update({"LTS_CONNECT_GRACE_S": "0", "LTS_RESTART_DELAY_S": "0"}, **environment)
        return subprocess.run(["dash", path or os.path.join(self.bin, script), *arguments], env=env,
                              cwd=cwd or self.top, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE_S, check=False)

    def expect(self, code, *arguments, **more):
        result = self.run_script(*arguments, **more)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def pid(self, name):
        try:
            with open(os.path.join(self.home, "pid", name), encoding="utf-8") as file:
                return int(file.read())
        except (FileNotFoundError, ValueError):
            return None

    @staticmethod
    def kill(pid, number):
        try:
            if pid is not None:
                os.kill(pid, number)
        except ProcessLookupError:
            pass

    def await_true(self, condition):
        """Asks again until it holds; the time only bounds a hang."""
        pause = threading.Event()
        for _ in range(PATIENCE_S * 20):
            if condition():
                return
            pause.wait(0.05)
        self.fail("waited in vain")

    def files(self, folder):
        return sorted(n for n in os.listdir(os.path.join(self.home, folder)) if not n.endswith(".lock"))


class JobTrackerScript(ScriptTest):
    def test_start_status_stop(self):
        self.assertIn("is stopped", self.expect(3, "zoo", "status"))
        self.assertIn("is ready (pid ", self.expect(0, "zoo", "start"))
        self.assertIn("listening at 127.0.0.1:7", self.expect(0, "zoo", "status"))
        self.assertEqual(self.files("pid"), ["jobtracker-zoo.json", "jobtracker-zoo.pid"])
        self.assertEqual(self.files("logs"), ["jobtracker-zoo.out"])
        self.assertIn("jobtracker zoo stopped", self.expect(0, "zoo", "stop"))
        self.assertEqual(self.files("pid"), [])
        with open(os.path.join(self.home, "logs/jobtracker-zoo.out"), encoding="utf-8") as file:
            log = file.read()
        self.assertIn("orderly end", log)
        self.assertIn(f"in {self.home}\n", log)
        self.expect(0, "zoo", "stop")
        self.expect(3, "zoo", "status")

    def test_start_of_what_runs_is_a_note(self):
        self.expect(0, "zoo", "start")
        pid = self.pid("jobtracker-zoo.pid")
        self.assertIn(f"already runs (pid {pid})", self.expect(0, "zoo", "start"))
        self.assertEqual(self.pid("jobtracker-zoo.pid"), pid)
        self.expect(0, "zoo", "stop")

    def test_verb_may_come_first_and_a_path_may_replace_the_name(self):
        self.expect(0, "start", "zoo")
        self.expect(0, "status", "conf/zoo")
        self.expect(0, "status", os.path.join(self.home, "conf/zoo/"))
        self.expect(0, os.path.join(self.home, "conf/zoo/jobtracker.cfg"), "status")
        self.expect(0, "zoo/", "status", cwd=os.path.join(self.home, "conf"))
        self.expect(0, ".", "status", cwd=os.path.join(self.home, "conf/zoo"))
        self.expect(0, "stop", "conf/zoo")

    def test_a_copied_folder_is_a_second_instance(self):
        shutil.copytree(os.path.join(self.home, "conf/zoo"), os.path.join(self.home, "conf/my zoo2"))
        self.expect(0, "zoo", "start")
        self.expect(0, "start", "conf/my zoo2")
        self.assertNotEqual(self.pid("jobtracker-zoo.pid"), self.pid("jobtracker-my_zoo2.pid"))
        self.expect(0, "zoo", "stop")
        self.expect(0, "my zoo2", "status")
        self.expect(0, "my zoo2", "stop")

    def test_restart_is_a_new_process(self):
        self.expect(0, "zoo", "restart")
        pid = self.pid("jobtracker-zoo.pid")
        self.expect(0, "zoo", "restart")
        self.assertNotEqual(self.pid("jobtracker-zoo.pid"), pid)
        self.expect(0, "zoo", "stop")

    def test_a_daemon_that_ends_before_it_is_ready_is_1_with_the_tail_of_this_start(self):
        self.configure("conf/zoo/jobtracker.cfg", fail=78, reason="old reason")
        self.expect(1, "zoo", "start")
        self.configure("conf/zoo/jobtracker.cfg", fail=69, reason="port 35001 is taken")
        text = self.expect(1, "zoo", "start")
        self.assertIn("exit code 69", text)
        self.assertIn("refused: port 35001 is taken", text)
        self.assertNotIn("old reason", text)
        self.expect(3, "zoo", "status")

    def test_not_ready_in_time_is_1_with_the_tail_and_status_4(self):
        self.configure("conf/zoo/jobtracker.cfg", never_ready="true")
        text = self.expect(1, "zoo", "start", LTS_START_TIMEOUT_S="1")
        self.assertIn("not ready after 1 s", text)
        self.assertIn("fake jobtracker in", text)
        self.assertIn("not ready: starting", self.expect(4, "zoo", "status"))
        self.expect(0, "zoo", "stop")

    def test_status_of_a_killed_daemon_is_1_and_start_mends_it(self):
        self.expect(0, "zoo", "start")
        self.kill(self.pid("jobtracker-zoo.pid"), signal.SIGKILL)
        self.await_true(lambda: self.run_script("zoo", "status").returncode == 1)
        self.expect(0, "zoo", "start")
        self.expect(0, "zoo", "stop")

    def test_a_pid_that_belongs_to_another_process_is_not_killed(self):
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as stranger:
            os.makedirs(os.path.join(self.home, "pid"))
            with open(os.path.join(self.home, "pid/jobtracker-zoo.pid"), "w", encoding="utf-8") as file:
                file.write(f"{stranger.pid}\n")
            self.expect(1, "zoo", "status")
            self.expect(0, "zoo", "stop")
            self.assertIsNone(stranger.poll())
            stranger.stdin.close()

    def test_stop_kills_what_does_not_end_and_says_so(self):
        self.configure("conf/zoo/jobtracker.cfg", ignore_term="true")
        self.expect(0, "zoo", "start")
        self.assertIn("had to be killed", self.expect(0, "zoo", "stop", LTS_STOP_TIMEOUT_S="1"))
        self.expect(3, "zoo", "status")

    def test_works_through_symlinks_and_as_a_relative_name(self):
        os.symlink("a home/bin/jobtracker.sh", os.path.join(self.top, "link one"))
        os.symlink(os.path.join(self.top, "link one"), os.path.join(self.top, "link two"))
        self.expect(0, "zoo", "start", path=os.path.join(self.top, "link two"), cwd="/")
        self.expect(0, "zoo", "status", path="jobtracker.sh", cwd=self.bin)
        self.expect(0, "zoo", "stop", path="../a home/bin/jobtracker.sh", cwd=self.bin + "/..")

    def test_lts_home_moves_the_instance(self):
        other = os.path.join(self.top, "other home")
        shutil.copytree(os.path.join(self.home, "conf"), os.path.join(other, "conf"))
        self.expect(0, "zoo", "start", LTS_HOME="other home")
        self.assertTrue(os.path.exists(os.path.join(other, "pid/jobtracker-zoo.json")))
        self.assertFalse(os.path.exists(os.path.join(self.home, "pid")))
        self.expect(0, "zoo", "stop", LTS_HOME=other)

    def test_an_unknown_instance_names_those_that_exist(self):
        text = self.expect(1, "zooo", "start")
        self.assertIn("conf/zooo/jobtracker.cfg", text)
        self.assertIn("conf/ has: zoo", text)

    def test_usage_is_2(self):
        for arguments in ((), ("zoo",), ("start",), ("zoo", "begin"), ("zoo", "drain"), ("a", "b", "c"),
                          ("", "start")):
            self.assertIn("usage:", self.expect(2, *arguments))

    def test_a_missing_library_is_named_with_the_packages(self):
        tools = os.path.join(self.top, "tools")
        os.makedirs(tools)
        with open(os.path.join(tools, "ldd"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nprintf '\\tlibc.so.6 => /x (0x1)\\n\\tlibgrpc++.so.1 => not found\\n'\n")
        os.chmod(os.path.join(tools, "ldd"), 0o755)
        with open(os.path.join(self.home, "RUNTIME-DEPS"), "w", encoding="utf-8") as file:
            file.write("# packages\nlibgrpc++1\nlibc6\n")
        text = self.expect(1, "zoo", "start", PATH=tools + ":" + os.environ["PATH"])
        self.assertIn("  libgrpc++.so.1\n", text)
        self.assertNotIn("libc.so.6", text)
        self.assertIn("RUNTIME-DEPS", text)
        self.assertIn("apt-get install --no-install-recommends libgrpc++1 libc6", text)

    def test_two_starts_at_once_make_one_daemon(self):
        scripts = [threading.Thread(target=lambda: codes.append(self.run_script("zoo", "start")))
                   for _ in range(4)]
        codes = []
        for script in scripts:
            script.start()
        for script in scripts:
            script.join()
        self.assertEqual([result.returncode for result in codes], [0] * 4)
        self.assertEqual(sum("already runs" in result.stdout for result in codes), 3)
        self.expect(0, "zoo", "stop")


class TaskTrackerScript(ScriptTest):
    def expect(self, code, *arguments, **more):
        return super().expect(code, *arguments, script="tasktracker.sh", **more)

    def run_script(self, *arguments, script="tasktracker.sh", **more):
        return super().run_script(*arguments, script=script, **more)

    def test_start_status_stop_without_a_name(self):
        self.expect(3, "status")
        self.expect(0, "start")
        self.expect(0, "status")
        self.assertEqual(self.files("pid"), ["tasktracker-tasktracker.json", "tasktracker-tasktracker.pid",
                                             "tasktracker-tasktracker.supervisor"])
        self.assertIn("already runs", self.expect(0, "start"))
        self.expect(0, "stop")
        self.assertEqual(self.files("pid"), [])
        self.expect(3, "status")

    def test_names_and_paths(self):
        self.configure("conf/tt2/tasktracker.cfg")
        self.configure("conf/batch.cfg")
        for instance, pid_file in (("tt2", "tasktracker-tt2.pid"),
                                   ("conf/batch.cfg", "tasktracker-batch.pid"),
                                   ("./conf/tasktracker.cfg", "tasktracker-tasktracker.pid")):
            self.expect(0, instance, "start")
            self.assertIsNotNone(self.pid(pid_file), instance)
            self.expect(0, "stop", instance)

    def test_a_crash_is_followed_by_a_new_start(self):
        self.expect(0, "start")
        for _ in range(2):
            first = self.pid("tasktracker-tasktracker.pid")
            self.kill(first, signal.SIGKILL)
            self.await_true(lambda: self.pid("tasktracker-tasktracker.pid") not in (None, first))
            self.await_true(lambda: self.run_script("status").returncode == 0)
        self.expect(0, "stop")
        self.expect(3, "status")

    def test_stop_during_the_wait_before_a_new_start(self):
        self.expect(0, "start", LTS_RESTART_DELAY_S="3000")
        self.kill(self.pid("tasktracker-tasktracker.pid"), signal.SIGKILL)
        self.await_true(lambda: "about to be started again" in self.run_script("status").stdout)
        self.expect(4, "status")
        self.expect(0, "stop")
        self.expect(3, "status")

    def test_an_orderly_end_is_not_followed_by_a_new_start(self):
        self.expect(0, "start")
        self.kill(self.pid("tasktracker-tasktracker.pid"), signal.SIGTERM)
        self.await_true(lambda: self.run_script("status").returncode == 3)

    def test_a_refused_configuration_is_not_tried_again(self):
        self.configure("conf/tasktracker.cfg", fail=78, reason="unknown key")
        text = self.expect(1, "start")
        self.assertIn("exit code 78", text)
        self.assertIn("refused: unknown key", text)
        self.expect(3, "status")

    def test_a_job_that_calls_exit_does_not_end_the_supervisor(self):
        for code in (0, 78, 3):
            mark = os.path.join(self.top, f"exited {code}")
            self.configure("conf/tasktracker.cfg", job_exits=mark, fail_with=code)
            self.run_script("start")
            self.await_true(lambda: os.path.exists(mark) and self.run_script("status").returncode == 0)
            self.expect(0, "stop")

    def test_a_configuration_refused_after_a_crash_ends_the_supervisor(self):
        self.expect(0, "start")
        self.configure("conf/tasktracker.cfg", fail=78, reason="unknown key")
        self.kill(self.pid("tasktracker-tasktracker.pid"), signal.SIGKILL)
        self.await_true(lambda: self.run_script("status").returncode == 1)
        self.assertIsNone(self.pid("tasktracker-tasktracker.supervisor"))

    def test_a_start_without_its_jobtracker_is_0_with_a_warning_and_status_4(self):
        self.configure("conf/tasktracker.cfg", waiting="no JobTracker at 127.0.0.1:1")
        self.assertIn("not connected: no JobTracker at 127.0.0.1:1", self.expect(0, "start"))
        self.assertIn("no JobTracker", self.expect(4, "status"))
        self.expect(0, "stop")

    def test_stop_reaches_a_daemon_whose_supervisor_was_killed(self):
        self.expect(0, "start")
        self.kill(self.pid("tasktracker-tasktracker.supervisor"), signal.SIGKILL)
        self.expect(0, "status")
        self.expect(0, "stop")
        self.expect(3, "status")

    def test_stop_kills_what_does_not_end(self):
        self.configure("conf/tasktracker.cfg", ignore_term="true")
        self.expect(0, "start")
        pid = self.pid("tasktracker-tasktracker.pid")
        self.assertIn("had to be killed", self.expect(0, "stop", LTS_STOP_TIMEOUT_S="1"))
        self.expect(3, "status")
        self.await_true(lambda: not os.path.exists(f"/proc/{pid}/exe"))

    def test_drain_of_an_idle_one_ends_it_for_good(self):
        self.expect(0, "start")
        self.expect(0, "drain", LTS_DRAIN_WAIT_S=str(PATIENCE_S))
        self.expect(3, "status")
        self.assertEqual(self.files("pid"), [])
        self.assertIn("is stopped", self.expect(0, "drain"))

    def test_drain_returns_while_it_drains_and_stop_ends_it(self):
        self.configure("conf/tasktracker.cfg", drain="holds")
        self.expect(0, "start")
        pid = self.pid("tasktracker-tasktracker.pid")
        for _ in range(2):
            self.assertIn("is draining until later", self.expect(0, "drain"))
        self.expect(1, "drain", LTS_DRAIN_WAIT_S="1")
        self.assertIn("is draining until later", self.expect(4, "status"))
        self.assertIn("is draining", self.expect(1, "start"))
        self.assertEqual(self.pid("tasktracker-tasktracker.pid"), pid)
        self.expect(0, "stop")
        self.expect(3, "status")

    def test_restart_of_a_draining_one(self):
        self.configure("conf/tasktracker.cfg", drain="holds")
        self.expect(0, "start")
        self.expect(0, "drain")
        self.expect(0, "restart")
        self.expect(0, "status")

    def test_what_crashes_while_it_drains_is_not_started_again(self):
        self.configure("conf/tasktracker.cfg", drain="dies")
        self.expect(0, "start")
        self.expect(0, "drain", LTS_DRAIN_WAIT_S=str(PATIENCE_S))
        self.expect(3, "status")

    def test_drain_during_the_wait_before_a_new_start(self):
        self.expect(0, "start", LTS_RESTART_DELAY_S="3000")
        self.kill(self.pid("tasktracker-tasktracker.pid"), signal.SIGKILL)
        self.await_true(lambda: "about to be started again" in self.run_script("status").stdout)
        self.expect(0, "drain", LTS_DRAIN_WAIT_S=str(PATIENCE_S))
        self.expect(3, "status")

    def test_drain_reaches_a_daemon_whose_supervisor_was_killed(self):
        self.expect(0, "start")
        self.kill(self.pid("tasktracker-tasktracker.supervisor"), signal.SIGKILL)
        self.expect(0, "drain", LTS_DRAIN_WAIT_S=str(PATIENCE_S))
        self.expect(3, "status")

    def test_usage_is_2(self):
        for arguments in ((), ("tt2",), ("begin",), ("a", "begin"), ("a", "b", "c"), ("", "start")):
            self.assertIn("usage:", self.expect(2, *arguments))


if __name__ == "__main__":
    unittest.main(verbosity=1)
