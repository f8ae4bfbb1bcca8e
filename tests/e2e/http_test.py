"""The runner http against servers that this test starts: what is sent, what an answer means, and what is not let through."""

import http.server
import os
import socket
import ssl
import threading

import harness
from certificates import make_certificates


class Server(http.server.ThreadingHTTPServer):
    """Answers as the path says: /STATUS[/SECONDS of Retry-After]; /hang answers when the test is over."""

    daemon_threads = True

    def __init__(self, address="127.0.0.1", tls=None):
        self.seen = []
        self.over = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                server.seen.append((self.command, self.path, dict(self.headers), body))
                parts = self.path.partition("?")[0].strip("/").split("/")
                if parts[0] == "hang":
                    server.over.wait(harness.DEADLINE_S)
                    return
                status = int(parts[0])
                # Busy for the first time only.
                if status == 503 and len(server.seen) > 1:
                    status = 200
                text = b"" if status == 204 else f"{self.command} {len(body)}".encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                if len(parts) > 1 and status != 200:
                    self.send_header("Retry-After", parts[1])
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_PUT = do_GET = answer

            def log_message(self, *_):
                pass

        super().__init__((address, 0), Handler)
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # who was refused in the handshake; what was asked is in `seen`

    def url(self, path, host=None):
        return f"{self.scheme}://{host or self.server_address[0]}:{self.server_address[1]}{path}"

    def stop(self):
        self.over.set()
        self.shutdown()
        self.server_close()


class Http(harness.EndToEnd):
    def server(self, tls=None):
        made = Server(tls=tls)
        self.addCleanup(made.stop)
        return made

    def asked(self, server, **tasktracker):
        return self.started(test_runners=False, tasktracker={
            "runner__http__enable": "true", "runner__http__allow": f"127.0.0.1:{server.server_address[1]}",
            "kill__grace": "500ms", **tasktracker})

    def ask(self, home, task, url, *args, **params):
        pairs = [item for key, value in params.items() for item in ("--param", f"{key}={value}")]
        return self.submit(home, task, "--runner", "http", "--param", f"url={url}", *pairs, *args)["jobId"]

    def end(self, home, job_id):
        view = self.wait_state(home, job_id, "SUCCEEDED", "FAILED", "DEAD", "CANCELLED")
        return view["state"], view["attempts"]

    def test_a_request_names_its_attempt_and_its_answer_is_the_result(self):
        server = self.server()
        home = self.asked(server)
        job = self.ok(home.cli("submit", "--group", "demo", "--task", "hook", "--runner", "http", "--param",
                               f"url={server.url('/200?x=1')}", "--param", "header.X-Mine=yes", "--payload", "-", "-o", "json",
                               stdin="hello")).json()[0]["jobId"]
        state, attempts = self.end(home, job)
        self.assertEqual((state, attempts[0]["message"]), ("SUCCEEDED", "POST 5"))
        [(method, path, headers, body)] = server.seen
        self.assertEqual((method, path, body), ("POST", "/200?x=1", b"hello"))
        self.assertEqual(headers["X-Mine"], "yes")
        self.assertEqual(headers["X-LTS-Job-Id"], job)
        self.assertEqual(headers["X-LTS-Task-Id"], "hook")
        self.assertEqual(headers["X-LTS-Attempt"], "1")
        self.assertEqual(headers["X-LTS-Token"], attempts[0]["token"])
        self.assertTrue(headers["Idempotency-Key"].startswith(job + "-"))

    def test_what_an_answer_means(self):
        server = self.server()
        home = self.asked(server)
        for status, state, outcome in ((204, "SUCCEEDED", "EXECUTE_SUCCESS"), (404, "FAILED", "EXECUTE_FAILED"),
                                       (500, "FAILED", "EXECUTE_EXCEPTION"), (302, "FAILED", "EXECUTE_FAILED")):
            with self.subTest(status):
                ended, attempts = self.end(home, self.ask(home, f"status-{status}", server.url(f"/{status}"),
                                                          "--retries", "0"))
                self.assertEqual((ended, [row["outcome"] for row in attempts]), (state, [outcome]), attempts)

    def test_a_busy_server_is_asked_again_when_it_says(self):
        server = self.server()
        home = self.asked(server)
        state, attempts = self.end(home, self.ask(home, "busy", server.url("/503/1"), "--retries", "0"))
        # A snooze: the job has no retry to spend.
        self.assertEqual((state, [row["outcome"] for row in attempts]),
                         ("SUCCEEDED", ["EXECUTE_SUCCESS", "EXECUTE_LATER"]))
        keys = {headers["Idempotency-Key"] for _, _, headers, _ in server.seen}
        self.assertEqual(len(keys), 1)
        self.assertEqual([headers["X-LTS-Attempt"] for _, _, headers, _ in server.seen], ["1", "2"])

    def test_time_outs_and_cancels_cut_a_request_off(self):
        server = self.server()
        home = self.asked(server)
        state, attempts = self.end(home, self.ask(home, "late", server.url("/hang"), "--retries", "0", "--timeout", "300ms"))
        self.assertEqual((state, attempts[0]["outcome"]), ("FAILED", "TIMED_OUT"))
        state, attempts = self.end(home, self.ask(home, "own", server.url("/hang"), "--retries", "0", timeout="300ms"))
        self.assertEqual((state, attempts[0]["outcome"]), ("FAILED", "EXECUTE_EXCEPTION"))
        job = self.ask(home, "cancelled", server.url("/hang"))
        harness.wait_until(lambda: len(server.seen) == 3, "it is not asked")
        self.ok(home.cli("cancel", job))
        self.assertEqual(self.end(home, job)[0], "CANCELLED")

    def test_what_is_not_allowed_is_refused_by_name(self):
        server = self.server()
        other = self.server()
        port = server.server_address[1]
        home = self.asked(server, runner__http__allow=f"*:*,127.0.0.1:{port}")
        cases = ((other.url("/200"), "private address 127.0.0.1"),
                 (f"http://localhost:{port}/200", "private address"),
                 (f"http://[::ffff:127.0.0.1]:{port}/200", "private address"),
                 (f"http://{socket.gethostname()}:{other.server_address[1]}/200", ""),
                 ("ftp://127.0.0.1/200", "http://"))
        for n, (url, text) in enumerate(cases):
            with self.subTest(url):
                state, attempts = self.end(home, self.ask(home, f"denied-{n}", url, "--retries", "0"))
                self.assertEqual(state, "FAILED")
                self.assertIn(text, attempts[0]["message"])
        self.assertEqual((server.seen, other.seen), ([], []))
        # Another way to write what is allowed.
        self.assertEqual(self.end(home, self.ask(home, "allowed", f"http://0x7f.1:{port}/200"))[0], "SUCCEEDED")

    def test_a_server_must_have_a_certificate_of_a_ca_that_is_trusted(self):
        folder = os.path.join(self.folder, "certificates")
        make_certificates(folder)

        def context(version=ssl.TLSVersion.TLSv1_3):
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
            made.set_ciphers("DEFAULT:@SECLEVEL=0")
            made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1, version
            return made

        good, old = self.server(context()), self.server(context(ssl.TLSVersion.TLSv1_1))
        plain = self.server()
        allowed = ",".join(f"{host}:{made.server_address[1]}" for made in (good, old, plain)
                           for host in ("127.0.0.1", "localhost"))
        home = self.asked(good, runner__http__allow=allowed, runner__http__ca=os.path.join(folder, "ca.pem"))
        state, attempts = self.end(home, self.ask(home, "trusted", good.url("/200"), "--retries", "0"))
        self.assertEqual((state, attempts[0]["message"]), ("SUCCEEDED", "POST 0"))
        # Another host than the certificate names, a version that is too old, no TLS at all.
        for n, url in enumerate((good.url("/200", "localhost"), old.url("/200"),
                                 plain.url("/200").replace("http:", "https:"))):
            with self.subTest(url):
                state, attempts = self.end(home, self.ask(home, f"other-{n}", url, "--retries", "0"))
                self.assertEqual((state, attempts[0]["outcome"]), ("FAILED", "EXECUTE_EXCEPTION"), attempts)
        for ca in (os.path.join(folder, "other.pem"), ""):  # another CA; those of the system
            with self.subTest(ca):
                home.set("conf/tasktracker.cfg", runner__http__ca=ca)
                self.ok(home.tasktracker("restart"))
                self.connected(home)
                state, attempts = self.end(home, self.ask(home, f"ca-{bool(ca)}", good.url("/200"), "--retries", "0"))
                self.assertEqual(state, "FAILED")
                self.assertIn("certificate", attempts[0]["message"])
        self.assertEqual([made.seen for made in (old, plain)], [[], []])
        self.assertEqual(len(good.seen), 1)

    def test_it_is_off_until_it_is_enabled_and_then_nothing_is_allowed(self):
        server = self.server()
        home = self.started(test_runners=False)
        _, attempts = self.end(home, self.ask(home, "off", server.url("/200"), "--retries", "0"))
        self.assertIn("runner.http.enable=true", attempts[0]["message"])
        home.set("conf/tasktracker.cfg", runner__http__enable="true")
        self.ok(home.tasktracker("restart"))
        self.connected(home)
        _, attempts = self.end(home, self.ask(home, "nothing", server.url("/200"), "--retries", "0"))
        self.assertIn("runner.http.allow", attempts[0]["message"])
        self.assertEqual(server.seen, [])

    def test_options_that_are_none_refuse_the_start(self):
        for options, name in (({"runner__http__allow": "no host"}, "runner.http.allow"),
                              ({"runner__http__isolation": "process"}, "runner.http.isolation"),
                              ({"runner__http__alow": "x"}, "runner.http.alow")):
            with self.subTest(name):
                home = self.home(name)
                home.set("conf/tasktracker.cfg", runner__http__enable="true", **options)
                self.assertIn(name, self.ok(home.tasktracker("start"), 1).err)


if __name__ == "__main__":
    harness.main()
