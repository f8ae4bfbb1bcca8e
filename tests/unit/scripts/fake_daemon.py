#!/usr/bin/python3
"""Behaves like a daemon as far as the start scripts can tell. What it does is in its configuration file."""
import json
import os
import signal
import sys
import threading

arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
daemon = os.path.basename(sys.argv[0])
name = arguments["--name"]
home = os.environ["LTS_HOME"]
with open(arguments["--config"], encoding="utf-8") as file:
    conf = dict(line.strip().split("=", 1) for line in file if "=" in line)
base = os.path.join(home, "pid", f"{daemon}-{name}")
stopped = threading.Event()


def write(path, text):
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".tmp", path)


def remove(path):
    if os.path.exists(path):
        os.remove(path)


if conf.get("ignore_term") == "true":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())



def drain(*_):
    write(base + ".waiting", "draining until later\n")
    if conf.get("drain") == "dies":
        os._exit(9)
    if conf.get("drain") != "holds":
        stopped.set()


signal.signal(signal.SIGUSR1, drain)
print(f"fake {daemon} in {os.getcwd()}", flush=True)
if "fail" in conf:
    print("refused: " + conf["reason"], flush=True)
    sys.exit(int(conf["fail"]))
if conf.get("never_ready") == "true":
    stopped.wait()
    sys.exit(0)
if "waiting" in conf:
    write(base + ".waiting", conf["waiting"] + "\n")
else:
    write(base + ".json", json.dumps({"pid": os.getpid(), "name": name, "listen": "127.0.0.1:7",
                                      "ready": True}, separators=(",", ":")) + "\n")
    print(f"READY {daemon} name={name} listen=127.0.0.1:7", flush=True)
if "job_exits" in conf and not os.path.exists(conf["job_exits"]):
    # As a job does that calls exit(): nothing is tidied up.
    with open(conf["job_exits"], "w", encoding="utf-8"):
        pass
    os._exit(int(conf["fail_with"]))
while not stopped.wait(3600):
    pass
print("orderly end", flush=True)
remove(base + ".json")
remove(base + ".waiting")
