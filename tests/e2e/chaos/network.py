"""The network of a chaos run: each node has a network namespace with one address of its own, 127.77.0.N, and this
process is the router between them. So servers listen on addresses of the loopback block, nothing is reachable from
outside, and what one chosen node sends to another one can be dropped, whichever of them opened the connection.

isolate() starts the calling program again inside namespaces of its own (network, mounts, processes). Whatever way it
ends, all that it has started ends with it, and namespaces, mounts and addresses are gone. It needs root, or the right
to user namespaces; without either the run fails.
"""

import json
import os
import subprocess
import sys
import threading

_MARK = "LTS_CHAOS_ISOLATED"
_ROUTER = "127.77.255.254"
_BLOCK = "127.77.0."


def isolate():
    if os.environ.get(_MARK) == "1":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ[_MARK] = "1"
    own = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    # The last ones: in a root folder that is no mount point of its own (chroot) propagation cannot be changed.
    for flags in (own, ["--map-root-user"] + own, own + ["--propagation", "unchanged"]):
        if subprocess.run(["unshare", *flags, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            sys.stdout.flush(), sys.stderr.flush()
            os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])
    sys.exit("no namespaces can be had here (unshare --net --mount --pid): a chaos run needs root or user namespaces")


def _run(*args):
    done = subprocess.run(args, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Cut:
    """Packets between two sets of nodes go to a device that swallows and counts them."""

    def __init__(self, number, pairs):
        self.device, self._rules = f"cut{number}", []
        table = str(1000 + number)
        # Without ARP a packet leaves for nobody's address, and the other end ignores it.
        _run("ip", "link", "add", self.device, "arp", "off", "type", "veth", "peer", "name", f"end{number}")
        _run("ip", "link", "set", f"end{number}", "up")
        _run("ip", "link", "set", self.device, "up")
        _run("ip", "route", "add", "default", "dev", self.device, "table", table)
        for a, b in pairs:
            for source, target in ((a, b), (b, a)):
                rule = ["from", source, "to", target, "lookup", table]
                _run("ip", "rule", "add", *rule, "priority", "100")
                self._rules.append(rule)

    def bytes(self):
        return json.loads(_run("ip", "-s", "-j", "link", "show", self.device))[0]["stats64"]["tx"]["bytes"]

    def heal(self):
        """Lets everything pass again; gives the bytes that were dropped."""
        for rule in self._rules:
            _run("ip", "rule", "del", *rule)
        dropped = self.bytes()
        _run("ip", "link", "del", self.device)
        return dropped


class Network:
    def __init__(self, folder):
        self._folder, self._nodes, self._cuts, self._lock = folder, {}, 0, threading.Lock()
        os.makedirs(folder)
        _write("/proc/sys/net/ipv4/ip_forward", "1")
        _write("/proc/sys/net/ipv4/conf/all/route_localnet", "1")
        # Only 127.0.0.1 is local to this side: the block of the nodes is reached over their links.
        _run("ip", "address", "del", "127.0.0.1/8", "dev", "lo")
        _run("ip", "address", "add", "127.0.0.1/32", "dev", "lo")

    def add(self, name):
        number = len(self._nodes) + 1
        address, link, path = _BLOCK + str(number), f"to{number}", os.path.join(self._folder, name)
        _write(path, "")
        _run("unshare", f"--net={path}", "true")
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", path)
        _write(f"/proc/sys/net/ipv4/conf/{link}/route_localnet", "1")
        _run("ip", "address", "add", f"{_ROUTER}/32", "dev", link)
        _run("ip", "link", "set", link, "up")
        _run("ip", "route", "add", f"{address}/32", "dev", link)
        _run("nsenter", f"--net={path}", "sh", "-ec", f"""
            ip link set lo up
            ip address del 127.0.0.1/8 dev lo
            ip address add 127.0.0.1/32 dev lo
            echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
            echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet
            ip link set eth0 up
            ip address add {address}/32 dev eth0
            ip route add {_ROUTER}/32 dev eth0
            ip route add 127.77.0.0/16 via {_ROUTER} dev eth0 src {address}""")
        self._nodes[name] = (address, path)
        return address

    def address(self, name):
        return self._nodes[name][0]

    def inside(self, name, argv):
        """The command line that runs argv as a process of that node."""
        return ["nsenter", f"--net={self._nodes[name][1]}", "--", *argv]

    def end(self):
        for _, path in self._nodes.values():
            subprocess.run(["umount", "-l", path], check=False)

    def cut(self, side, other):
        """Drops what the nodes of one list send to those of the other one, both ways."""
        with self._lock:
            self._cuts += 1
            number = self._cuts
        return Cut(number, [(self.address(a), self.address(b)) for a in side for b in other])
