"""A full disk: a clear message, nothing lost, and on it goes when there is room again.

The small file system is mounted in a mount namespace that ends with the test; without the right to have one, within a
user namespace. When neither can be had, the test fails.
"""

import os
import signal
import subprocess
import sys

if "LTS_E2E_IN_NAMESPACE" not in os.environ:
    os.environ["LTS_E2E_IN_NAMESPACE"] = "1"
    # The last one: in a root folder that is no mount point of its own (chroot) propagation cannot be changed.
    for flags in (["-m"], ["-rm"], ["-m", "--propagation", "unchanged"]):
        if subprocess.run(["unshare", *flags, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])
    sys.exit("neither a mount namespace nor a user namespace can be had: a full disk cannot be tested here")

import harness  # noqa: E402


class FullDisk(harness.EndToEnd):
    """dataPath lies on a file system of 24 MiB."""

    SIZE_MB = 24

    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.folder, "disk")
        os.mkdir(self.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.SIZE_MB}m", "tmpfs", self.disk], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", self.disk], check=False))

    def fill(self):
        """Takes what is left, to the last byte."""
        with open(os.path.join(self.disk, "ballast"), "ab", buffering=0) as file:
            block = b"\0" * 65536
            while block:
                try:
                    if file.write(block) < len(block):
                        block = block[:len(block) // 2]
                except OSError:
                    block = block[:len(block) // 2]

    def make_room(self):
        os.remove(os.path.join(self.disk, "ballast"))

    def test_the_store_of_a_jobtracker(self):
        home = self.home()
        home.use_test_runners()
        home.set("conf/standalone/jobtracker.cfg", dataPath=self.disk)
        self.ok(home.jobtracker("start"))
        accepted = [self.submit(home, f"before-{n}", "--runner", "act", "--param", "action=success")["jobId"]
                    for n in range(20)]
        self.fill()
        payload = os.path.join(self.folder, "payload")
        with open(payload, "wb") as file:
            file.write(os.urandom(60_000))
        refused = None
        for n in range(200):  # what is preallocated may take some
            done = home.cli("submit", "--group", "demo", "--task", f"full-{n}", "--runner", "act", "--param",
                            "action=success", "--payload", payload, "-o", "json")
            if done.code != 0:
                refused = done
                break
            accepted.append(done.json()[0]["jobId"])
        self.assertIsNotNone(refused, "a full disk takes everything")
        self.assertIn(refused.code, (1, 4, 6, 7), str(refused))
        self.assertTrue(refused.err.strip())
        self.assertRegex(home.out("jobtracker", "standalone"), "(?i)no space")
        # Not ready, with the store's reason, as long as it takes nothing.
        harness.wait_until(lambda: home.get("jobtracker", "standalone", "/readyz")[0] == 503, "it says that it is ready")
        self.assertRegex(home.get("jobtracker", "standalone", "/readyz")[1], "(?i)no space")

        # With room again it goes on by itself, and nothing that was accepted is missing.
        self.make_room()
        harness.wait_until(lambda: home.cli("submit", "--group", "demo", "--task", "after", "--runner", "act", "--param",
                                            "action=success").code == 0, "it does not recover", 60, 0.2)
        harness.wait_until(lambda: home.get("jobtracker", "standalone", "/readyz")[0] == 200, "it is not ready again")
        self.ok(home.tasktracker("start"))
        self.connected(home)
        for job_id in accepted:
            self.wait_state(home, job_id, "SUCCEEDED")

    def test_the_failstore_of_a_client(self):
        home = self.home()
        home.set("conf/jobclient.cfg", dataPath=self.disk)
        payload = os.path.join(self.folder, "payload")
        with open(payload, "wb") as file:
            file.write(os.urandom(60_000))

        def store(n):
            return home.cli("submit", "--group", "demo", "--task", f"s-{n}", "--payload", payload, "--store", "-o", "json")
        stored = [self.ok(store(0)).json()[0]["jobId"]]
        self.fill()
        refused = None
        for n in range(1, 200):
            done = store(n)
            if done.code != 0:
                refused = done
                break
            stored.append(done.json()[0]["jobId"])
        self.assertIsNotNone(refused, "a full disk takes everything")
        self.assertEqual(refused.out, "")
        self.assertRegex(refused.err, "(?i)no space|full")
        self.make_room()
        self.ok(home.jobtracker("start"))
        agent = home.background(home.path("bin/jobclient"), "agent", stdout=subprocess.DEVNULL)
        for job_id in stored:
            harness.wait_until(lambda: home.cli("get", job_id).code == 0, f"{job_id} was stored and never came")
        agent.send_signal(signal.SIGTERM)
        agent.wait(harness.DEADLINE_S)


if __name__ == "__main__":
    harness.main()
