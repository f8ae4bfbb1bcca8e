"""Listening where other hosts connect: refused with the lines that it takes; with them all need the token."""

import os
import re

import cluster
import harness
from certificates import make_certificates

CONFIG = "conf/standalone/jobtracker.cfg"
TOKEN = "e2e-token-0123456789abcdef"


class OtherHosts(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        self.lts = self.home()
        self.lts.set(CONFIG, bindIp="0.0.0.0")

    def write(self, text, *path):
        with open(self.lts.path(*path), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.lts.path(*path), 0o600)

    def refused(self):
        """The start, which is refused; gives what it printed."""
        done = self.lts.run(self.lts.path("bin/jobtracker"), "--config", self.lts.path(CONFIG), "--name", "standalone")
        self.ok(done, 78)
        self.assertNotIn("READY", done.out)
        self.assertNotIn(TOKEN, done.err)
        return done.err.split("jobtracker: ", 1)[1].split(" E [", 1)[0]  # the log says it once more

    def lines(self, text):
        return re.findall(r"^  (\S+=\S+)$", text, re.MULTILINE)

    def add(self, config, *lines):
        with open(self.lts.path(config), "a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def start_all(self):
        self.ok(self.lts.jobtracker("start"))
        self.ok(self.lts.tasktracker("start"))
        self.connected(self.lts)

    def run_a_job(self, task):
        done = self.lts.cli("submit", "--group", "demo", "--task", task, "--runner", "exec", "--param",
                            "program=/usr/bin/sha256sum", "--param", "args=/etc/os-release", "--wait")
        self.ok(done)
        self.assertIn("/etc/os-release", done.out)

    def test_a_token_that_others_can_read_is_warned_of_once_and_taken(self):
        self.lts.set(CONFIG, bindIp="127.0.0.1")
        for config, file, mode in ((CONFIG, "conf/standalone/lts.token", 0o644),
                                   ("conf/tasktracker.cfg", "conf/tt.token", 0o640),
                                   ("conf/jobclient.cfg", "conf/client.token", 0o604)):
            self.add(config, "security.token_file=" + os.path.basename(file))
            self.write(TOKEN + "\n", file)
            os.chmod(self.lts.path(file), mode)
        self.start_all()
        mends = lambda file, mode: f"{file} (mode {mode}): chmod 600 "  # noqa: E731
        for daemon, name, file, mode in (("jobtracker", "standalone", "standalone/lts.token", "0644"),
                                         ("tasktracker", "tasktracker", "conf/tt.token", "0640")):
            said = [line for line in self.lts.out(daemon, name).splitlines() if "chmod 600" in line]
            self.assertEqual(len(said), 1, said)
            self.assertIn(" W [", said[0])
            self.assertIn(mends(file, mode), said[0])
            self.assertNotIn(TOKEN, said[0])
        nodes = self.ok(self.lts.cli("nodes", "-o", "json"))
        self.assertEqual(nodes.err.count(mends("conf/client.token", "0604")), 1, nodes.err)
        self.assertEqual([row["state"] for row in nodes.json() if row["nodeType"] == "TASK_TRACKER"], ["READY"])
        os.chmod(self.lts.path("conf/client.token"), 0o600)
        self.assertEqual(self.ok(self.lts.cli("nodes")).err, "")

    def test_the_lines_of_the_refusal_let_it_start_and_everybody_needs_the_token(self):
        said = self.refused()
        self.assertTrue(said.startswith("bindIp=0.0.0.0"), said)
        self.assertEqual(self.lines(said), ["security.token_file=lts.token", "security.tls.cert=conf/tls/server.pem",
                                            "security.tls.key=conf/tls/server.key", "security.insecure=true"])
        self.assertFalse(os.path.exists(self.lts.path("data", "standalone")))
        started = self.lts.jobtracker("start")
        self.ok(started, 1)
        for line in self.lines(said):
            self.assertIn(line, started.err)
        # One after the other: each is asked for by itself.
        self.add(CONFIG, "security.token_file=lts.token")
        self.write(TOKEN + "\n", "conf/standalone/lts.token")
        self.assertNotIn("security.token_file=lts.token", self.lines(self.refused()))
        self.add(CONFIG, "security.insecure=true")
        for config in ("conf/tasktracker.cfg", "conf/jobclient.cfg"):
            self.add(config, "security.token_file=lts.token")
        self.write(TOKEN + "\n", "conf/lts.token")
        self.start_all()
        self.assertEqual(self.lts.ready_info("jobtracker", "standalone")["listen"], f"0.0.0.0:{self.lts.port}")
        self.run_a_job("with-token")

        self.write("another-token-0123456789\n", "conf/other.token")
        empty = self.lts.path("none.cfg")
        self.write(f"registryAddress={self.lts.registry}\n", "none.cfg")
        for env, words in (({}, "asks for the token"),
                           ({"LTS_SECURITY_TOKEN_FILE": self.lts.path("conf/other.token")}, "is not that")):
            for verb in (("nodes",), ("partitions",), ("submit", "--group", "demo", "--task", "no", "--runner", "exec"),
                         ("submit", "--group", "demo", "--task", "no", "--runner", "exec", "--store")):
                done = self.lts.cli("--config", empty, *verb, env=env)
                self.ok(done, 5)
                self.assertEqual(done.out, "")
                self.assertIn(words, done.err)
                self.assertIn("security.token_file", done.err)
                self.assertIn(f"127.0.0.1:{self.lts.port}", done.err)
                self.assertNotIn(TOKEN, done.err)
        self.ok(self.lts.cli("--config", empty, "nodes", env={"LTS_SECURITY_TOKEN": TOKEN}))
        _, metrics = self.lts.get("jobtracker", "standalone", "/metrics")
        denied = int(re.search(r"^lts_rpc_denied_total (\d+)$", metrics, re.MULTILINE).group(1))
        self.assertGreaterEqual(denied, 8)
        log = self.lts.out("jobtracker", "standalone")
        self.assertIn("calls denied", log)
        self.assertLess(log.count("calls denied"), denied)
        for name in os.listdir(self.lts.path("logs")):
            self.assertNotIn(TOKEN, self.lts.read("logs", name), name)

    def test_a_tasktracker_without_the_token_says_so_and_gets_no_jobs(self):
        self.write(TOKEN + "\n", "conf/standalone/lts.token")
        self.write(TOKEN + "\n", "conf/lts.token")
        self.add(CONFIG, "security.token_file=lts.token", "security.insecure=true")
        self.add("conf/jobclient.cfg", "security.token_file=lts.token")
        self.ok(self.lts.jobtracker("start"))
        started = self.lts.tasktracker("start")  # it goes on trying
        self.ok(started)
        harness.wait_until(lambda: "security.token_file" in self.lts.out("tasktracker", "tasktracker"),
                           "the log names the option")
        self.assertIn("security.token_file", str(self.lts.tasktracker("status")))
        self.ok(self.lts.tasktracker("stop"))
        self.add("conf/tasktracker.cfg", "security.token_file=lts.token")
        self.ok(self.lts.tasktracker("start"))
        self.connected(self.lts)
        self.run_a_job("late")

    def test_over_tls(self):
        make_certificates(self.lts.path("conf/tls"))
        self.write(TOKEN + "\n", "conf/standalone/lts.token")
        self.write(TOKEN + "\n", "conf/lts.token")
        self.add(CONFIG, *self.lines(self.refused())[:3])
        for config in ("conf/tasktracker.cfg", "conf/jobclient.cfg"):
            self.add(config, "security.token_file=lts.token", "security.tls.ca=conf/tls/ca.pem")
        self.start_all()
        self.run_a_job("over-tls")
        for ca, words in (("conf/tls/other.pem", "does not come from the CA of security.tls.ca"),
                          ("", "perhaps because it speaks TLS")):
            done = self.lts.cli("nodes", env={"LTS_SECURITY_TLS_CA": ca})
            self.ok(done, 6)
            self.assertIn(words, done.err)
        # The name of the host, but made out for an address.
        done = self.lts.cli("--registry", f"jobtracker://localhost:{self.lts.port}", "nodes")
        self.ok(done, 6)
        self.assertIn("not made out for the host", done.err)


class Cluster(cluster.ClusterTest):
    def test_the_jobtrackers_call_each_other_with_the_token_and_over_tls_from_both_ends(self):
        lts = cluster.Cluster(os.path.join(self.folder, "c"))
        self.homes.append(lts)
        tls = lts.path("tls")
        make_certificates(tls)
        lts.env.update(LTS_BINDIP="0.0.0.0", LTS_ADVERTISE_ADDRESS="127.0.0.1", LTS_SECURITY_TOKEN=TOKEN,
                       LTS_SECURITY_TLS_CA=os.path.join(tls, "ca.pem"),
                       LTS_SECURITY_TLS_CERT=os.path.join(tls, "server.pem"),
                       LTS_SECURITY_TLS_KEY=os.path.join(tls, "server.key"))
        self.ok(lts.script("up"))
        lts.set("conf/jobclient.cfg", registryAddress=lts.registry, clusterName=cluster.NAME)
        addresses = {row["address"] for row in self.ok(lts.cli("partitions", "-o", "json")).json()}
        self.assertEqual({address.split(":")[0] for address in addresses}, {"127.0.0.1"})
        self.assertEqual(len(addresses), 2)
        # One of the two does not own the group, and passes the request on.
        for address in sorted(addresses):
            self.ok(lts.cli("--registry", f"jobtracker://{address}", "submit", "--group", "demo", "--task", address,
                            "--runner", "word_count", "--param", "file=/etc/services", "--wait"))
        self.ok(lts.cli("nodes", env={"LTS_SECURITY_TOKEN": ""}), 5)
        self.ok(lts.cli("nodes", env={"LTS_SECURITY_TLS_CERT": "", "LTS_SECURITY_TLS_KEY": ""}), 6)
        for name in os.listdir(lts.path("logs")):
            self.assertNotIn(TOKEN, lts.read("logs", name), name)


class Tokens(harness.EndToEnd):
    def test_a_token_that_is_none_is_refused_without_being_shown(self):
        home = self.home()
        for token in ("too-short", "with blanks in it, and long enough"):
            for daemon, config in (("jobtracker", CONFIG), ("tasktracker", "conf/tasktracker.cfg")):
                done = home.run(home.path("bin", daemon), "--config", home.path(config), "--name", "standalone",
                                env={"LTS_SECURITY_TOKEN": token})
                self.ok(done, 78)
                self.assertIn("security.token_file", done.err)
                self.assertNotIn(token, done.err)
            done = home.cli("nodes", env={"LTS_SECURITY_TOKEN": token})
            self.ok(done, 2)
            self.assertIn("security.token_file", done.err)
            self.assertNotIn(token, done.err)

    def test_a_token_counts_on_the_loopback_too(self):
        home = self.home()
        self.ok(home.jobtracker("start", env={"LTS_SECURITY_TOKEN": TOKEN}))
        self.ok(home.cli("nodes"), 5)
        self.ok(home.cli("nodes", env={"LTS_SECURITY_TOKEN": TOKEN}))


if __name__ == "__main__":
    harness.main()
