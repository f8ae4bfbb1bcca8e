"""Certificates for tests, made with openssl."""

import os
import subprocess


def make_certificates(folder):
    """Two CAs, and a certificate of the first for 127.0.0.1, in a new folder."""
    os.mkdir(folder)
    with open(os.path.join(folder, "server.ext"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=IP:127.0.0.1\n")
    key = ("-newkey", "rsa:2048", "-nodes", "-keyout")
    for args in (("req", "-x509", *key, "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca"),
                 ("req", "-x509", *key, "other.key", "-out", "other.pem", "-days", "2", "-subj", "/CN=other"),
                 ("req", *key, "server.key", "-out", "server.csr", "-subj", "/CN=server"),
                 ("x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                  "-in", "server.csr", "-extfile", "server.ext", "-out", "server.pem")):
        subprocess.run(("openssl", *args), cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
