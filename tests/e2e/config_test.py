"""Configurations of the original: every key of it is taken or noticed, in every form that Java writes."""

import os
import re

import harness

CONFIGS = {  # in the files of the original behind `configs.`
    "job.queue": "mysql", "job.logger": "mysql", "job.fail.store": "leveldb", "event.center": "injvm",
    "lts.remoting": "netty", "lts.remoting.serializable.default": "fastjson", "lts.json": "fastjson", "lts.logger": "slf4j",
    "zk.client": "zkclient", "jdbc.datasource.provider": "mysql", "lts.admin.access.db": "mysql",
    "java.compiler": "javassist", "loadbalance": "random", "jobtracker.select.loadbalance": "random",
    "jobclient.select.loadbalance": "random", "monitor.select.loadbalance": "random",
    "jobtracker.retry.time.generator": "default", "lazy.job.logger": "false", "lazy.job.logger.mem.size": "1000",
    "lazy.job.logger.check.period": "3", "lazy.job.logger.batch.flush.size": "100",
    "lazy.job.logger.overflow.size": "10000", "lts.job.processor.thread": "42", "lts.http.cmd.port": "8719",
    "netty.frame.length.max": "16777216", "reconnect.period": "3000", "retry.period": "5000",
    "redis.session.timeout": "60000", "cluster": "failover",
    "jdbc.url": "jdbc:mysql://127.0.0.1:3306/lts?useUnicode=true&characterEncoding=UTF-8", "jdbc.username": "root",
    "jdbc.password": "secret of the database", "jdbc.create.db.table": "true",
    "druid.initialSize": "1", "druid.maxActive": "50", "druid.maxIdle": "8", "druid.minIdle": "1", "druid.maxWait": "6000",
    "druid.poolPreparedStatements": "true", "druid.maxOpenPreparedStatements": "20", "druid.validationQuery": "SELECT 1",
    "druid.testOnBorrow": "true", "druid.testOnReturn": "false", "druid.testWhileIdle": "true",
    "druid.timeBetweenEvictionRunsMillis": "60000", "druid.numTestsPerEvictionRun": "3",
    "druid.minEvictableIdleTimeMillis": "300000", "druid.exceptionSorter": "x", "druid.filters": "stat",
    "mongo.addresses": "127.0.0.1:27017", "mongo.database": "lts", "mongo.username": "m", "mongo.password": "m",
    "job.submit.maxQPS": "500", "job.submit.lock.acquire.timeout": "100", "job.preloader.size": "300",
    "job.preloader.factor": "0.2", "job.preloader.signal.check.interval": "100",
    "lts.job.tracker.pusher.thread.num": "42", "lts.job.tracker.push.batch.size": "10", "job.max.retry.times": "10",
    "jobtracker.job.retry.interval.millis": "30000", "remoting.req.limit.enable": "false",
    "remoting.req.limit.maxQPS": "5000", "remoting.req.limit.acquire.timeout": "50",
    "jobtracker.executing.job.fix.check.interval.seconds": "30", "jobtracker.executing.job.fix.deadline.seconds": "20",
    "jobtracker.fix.executing.job.waiting.mills": "1000",
    "jobtracker.nonRelyOnPrevCycleJob.schedule.interval.minute": "10", "job.pull.frequency": "1",
    "lb.machine.res.check.enable": "false", "lb.cpuUsedRate.max": "90", "lb.memoryUsedRate.max": "90",
    "tasktracker.stop.working.enable": "true", "stop.working": "false",
    "lts.task.tracker.biz.logger.failstore.close": "false", "lts.task.tracker.job.result.failstore.close": "false",
    "lts.monitor.report.interval": "1", "mStatReporterClosed": "false", "mail.smtp.host": "h", "mail.smtp.port": "25",
    "mail.username": "u", "mail.password": "p", "mail.adminAddress": "a@b", "mail.sslEnabled": "true",
    "enableDotLog": "true", "enablePeriod": "10", "lts.tasktracker.cfg.path": "x",
}
PLAIN = {
    "registryAddress": "zookeeper://127.0.0.1:2181", "clusterName": "test_cluster", "nodeGroup": "test_group",
    "identity": "one", "bindIp": "127.0.0.1", "listenPort": "35001", "workThreads": "64", "dataPath": "/var/lib/lts",
    "invokeTimeoutMillis": "60000", "bizLoggerLevel": "INFO", "jobRunnerClass": "com.example.Runner", "useSpring": "false",
    "springXmlPaths": "a.xml,b.xml", "useRetryClient": "true",
    # lts-admin.cfg and lts-monitor.cfg
    "console.username": "admin", "console.password": "admin", "jobT.job.queue": "mysql", "jobT.job.logger": "mysql",
    "jobT.jdbc.url": "jdbc:mysql://127.0.0.1:3306/lts", "jobT.jdbc.username": "root", "jobT.jdbc.password": "root",
    "jobT.jdbc.datasource.provider": "mysql", "jobT.mongo.addresses": "127.0.0.1:27017", "jobT.mongo.database": "lts",
    "lts.monitorAgent.enable": "true", "lts.admin.remove.running.job.on.executable.search": "false", "port": "8081",
    "contextPath": "/",
}
PROGRAMS = ("jobtracker", "tasktracker", "jobclient")
# Keys that share their beginning share a notice, which names each of them.
FAMILIES = ("druid.", "mongo.", "redis.", "mail.", "jobT.", "lts.monitorAgent.")


def escaped(text):
    """As Java's Properties.store writes it."""
    units = text.encode("utf-16-be")
    return "".join("\\" + c if c in ":=#! \\" else c if c.isascii() else f"\\u{ord(c):04x}"
                   for c in (chr(int.from_bytes(units[i:i + 2], "big")) for i in range(0, len(units), 2)))


class Config(harness.EndToEnd):
    def setUp(self):
        super().setUp()
        self.lts = self.home()

    def check(self, program, text, code=0):
        path = os.path.join(self.folder, "all keys.cfg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)
        done = self.ok(self.lts.run(self.lts.path("bin", program), "--config", path, "--check-config"), code)
        self.assertNotIn("secret of the database", done.out + done.err)
        return done

    def options_of(self, program):
        shipped = self.ok(self.lts.run(self.lts.path("bin", program), "--print-conf")).out
        names = re.findall(r"^#([A-Za-z0-9._*]+)=", shipped, re.MULTILINE)
        return {name.removesuffix("_file") for name in names}

    def values(self, done):
        """Of the options that the file gives."""
        lines = (line.rsplit("  # ", 1) for line in done.out.splitlines() if "  # " in line)
        return {pair.split("=", 1)[0]: pair.split("=", 1)[1] for pair, origin in lines if origin.split(":")[0].endswith("all keys.cfg")}

    def test_every_key_of_the_original_is_an_option_or_has_one_notice(self):
        lines = [f"configs.{key}={value}" for key, value in CONFIGS.items()]
        lines += [f"{key}={value}" for key, value in PLAIN.items()]
        for program in PROGRAMS:
            options = self.options_of(program)
            done = self.check(program, "\n".join(lines) + "\n")
            self.assertEqual(done.out.splitlines()[-1], "configuration ok")
            noticed = {}
            for line in done.err.splitlines():
                self.assertRegex(line, r": without effect: \S", str(done))
                for number in re.findall(r"all keys\.cfg:(\d+) ", line):
                    noticed[int(number)] = noticed.get(int(number), 0) + 1
            ignored = [n for n, line in enumerate(lines, 1)
                       if line.split("=")[0].removeprefix("configs.") not in options]
            self.assertEqual(noticed, {n: 1 for n in ignored}, f"{program}\n{done.err}")
            keys = [lines[n - 1].split("=")[0].removeprefix("configs.") for n in ignored]
            notices = {next((family for family in FAMILIES if key.startswith(family)), key) for key in keys}
            self.assertEqual(len(done.err.splitlines()), len(notices), f"{program}\n{done.err}")
            for key, value in self.values(done).items():
                self.assertIn(value, ({**CONFIGS, **PLAIN}[key], "********"), key)

    def test_the_shipped_configurations_say_nothing_needless(self):
        for program, config in (("jobtracker", "conf/standalone/jobtracker.cfg"), ("jobtracker", "conf/zoo/jobtracker.cfg"),
                                ("tasktracker", "conf/tasktracker.cfg"), ("jobclient", "conf/jobclient.cfg")):
            # As it is, and with every line that a user may want.
            for text in (self.lts.read(config), re.sub(r"(?m)^#(?=[\w.]+=)", "", self.lts.read(config))):
                with open(self.lts.path(config), "w", encoding="utf-8") as file:
                    file.write(text)
                for secret in re.findall(r"(?m)^[\w.]+_file=(.*)$", text):
                    path = self.lts.path(os.path.dirname(config), secret)
                    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                        file.write("a secret\n")
                done = self.ok(self.lts.run(self.lts.path("bin", program), "--config", self.lts.path(config), "--check-config"))
                self.assertEqual(done.err, "", f"{config}\n{text}")
                self.assertEqual(done.out.splitlines()[-1], "configuration ok")
                self.assertNotIn("a secret", done.out)

    def test_every_form_that_java_takes_means_the_same(self):
        pairs = {**{f"configs.{key}": value for key, value in CONFIGS.items()}, **PLAIN, "nodeGroup": "gr\u00fcn\u4e2d\U0001f600"}
        forms = {
            "plain": [f"{key}={value}" for key, value in pairs.items()],
            "stored by Java": ["#Wed Nov 25 21:28:49 UTC 2026", "! another comment = of a kind"]
                              + [f"{escaped(key)}={escaped(value)}" for key, value in pairs.items()],
            "colons": [f"\t{key} : {value}" for key, value in pairs.items()],
            "blanks": [f"{key} {escaped(value)}" for key, value in pairs.items()],
            "continued": [f"{key}=\\\r\n   {value[:3]}\\\r\n \t{value[3:]}\r" for key, value in pairs.items()
                          if not value[3:4].isspace()] + [f"{key}={value}\r" for key, value in pairs.items() if value[3:4].isspace()],
        }
        for program in PROGRAMS:
            expected = None
            for form, lines in forms.items():
                got = self.values(self.check(program, "\n".join(lines)))
                expected = expected or got
                self.assertEqual(got["nodeGroup"], pairs["nodeGroup"])
                self.assertEqual(got["registryAddress"], PLAIN["registryAddress"])
                self.assertEqual(got, expected, f"{program}, {form}")

    def test_an_unknown_key_is_refused_with_the_nearest_name(self):
        wrong = {"jobtracker": ("configs.job.queu", "job.queue"), "tasktracker": ("workThread", "workThreads"),
                 "jobclient": ("configs.job.failstore", "job.fail.store")}
        for program in PROGRAMS:
            key, nearest = wrong[program]
            done = self.check(program, f"clusterName=c\n{key}=rocksdb\n", 2 if program == "jobclient" else 78)
            self.assertIn(f'all keys.cfg:2: unknown key "{key}"; did you mean "{nearest}"?', done.err)
            self.assertEqual(done.out, "")

    def test_engines_of_the_original_that_are_not_here_are_refused(self):
        for program, line, instead in (("jobtracker", "registryAddress=redis://127.0.0.1:6379", "zookeeper://"),
                                       ("jobtracker", "configs.job.queue=mongo", "mysql"),
                                       ("tasktracker", "configs.job.fail.store=mapdb", "leveldb"),
                                       ("jobclient", "configs.job.fail.store=ltsdb", "leveldb")):
            done = self.check(program, line, 2 if program == "jobclient" else 78)
            self.assertIn(line, done.err)
            self.assertIn(instead, done.err)


if __name__ == "__main__":
    harness.main()
