"""What the boxes of the self-test run: Python programs that try what no task may do. Never run outside of a box."""

# Prints what came of everything as JSON. Arguments: a file of the host, a TCP port of it, an abstract socket of it.
INTRUDE = """
import ctypes, fcntl, json, os, socket, struct, sys

secret, port, abstract = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
PLACES = ["/", "/usr", "/usr/local/etc", "/etc", "/shared", "/dev", "/proc/sys/kernel", "/run", "/var", "/home",
          "/workspace", "/tmp", "/dev/shm"]


def worked(attempt, *given):
    try:
        return attempt(*given) in (None, 0)
    except OSError:
        return False


def read(path):
    with open(path, "rb") as file:
        if not file.read(1):
            raise OSError("there is nothing in it")  # as in what is masked


def write(place):
    with open(place + "/lsm-self-test", "w") as file:
        file.write("x")


def connect(family, address):
    with socket.socket(family) as made:
        made.settimeout(1)
        made.connect(address)


def make(family):
    socket.socket(family).close()


# A kernel with modules for tunnels may put interfaces of theirs, which are down, into every new network namespace.
def is_up(name):
    SIOCGIFFLAGS, IFF_UP = 0x8913, 1
    with socket.socket() as made:
        answer = fcntl.ioctl(made, SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
    return struct.unpack("16xH14x", answer)[0] & IFF_UP


names = [line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]]
calls = {
    "unshare": lambda: libc.unshare(0x10000000),
    "mount": lambda: libc.mount(b"none", b"/workspace", b"tmpfs", 0, None),
    "setns": lambda: libc.setns(os.open("/proc/self/ns/user", os.O_RDONLY), 0),
    "keyring": lambda: 0 if libc.syscall({"x86_64": 250}.get(os.uname().machine, 219), 0, -3, 1) > 0 else 1,
    "vsock": lambda: make(40),
    "packet": lambda: make(17),
    "ptrace": lambda: libc.ptrace(0, 0, 0, 0),
    "root": lambda: os.setuid(0),
}
hosts = {
    "port": lambda: connect(socket.AF_INET, ("127.0.0.1", int(port))),
    "abstract": lambda: connect(socket.AF_UNIX, "\\0" + abstract),
}
print(json.dumps({
    "uid": [status["Uid"].split(), open("/proc/self/uid_map").read().split()],
    "caps": [status["Cap" + kind].strip() for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")],
    "filter": [status["Seccomp"].strip(), status["NoNewPrivs"].strip()],
    "interfaces": [name for name in names if is_up(name)],
    "read": [path for path in (secret, "/etc/shadow", "/proc/kcore") if worked(read, path)],
    "connected": [name for name, attempt in hosts.items() if worked(attempt)],
    "called": [name for name, attempt in calls.items() if worked(attempt)],
    "written": sorted(place for place in PLACES if worked(write, place)),
}))
"""

# Watches and locks files that others use too, says so, waits for `stop` in its workspace, and prints what it saw of the
# others. Arguments: the files and directories.
WATCH = """
import ctypes, fcntl, os, struct, sys, time

libc = ctypes.CDLL(None)
IN_ALL_EVENTS = 0xFFF
watch = libc.inotify_init1(os.O_NONBLOCK)


def events():
    try:
        return os.read(watch, 65536)
    except BlockingIOError:
        return b""


for place in sys.argv[1:]:
    fcntl.flock(os.open(place, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
places = {libc.inotify_add_watch(watch, place.encode(), IN_ALL_EVENTS): place for place in sys.argv[1:]}
print("watching", flush=True)
end = time.monotonic() + 20
while not os.path.exists("/workspace/stop") and time.monotonic() < end:
    time.sleep(0.01)
seen, told = set(), events()
while told:
    number, _, _, length = struct.unpack_from("iIII", told)
    seen.add(places.get(number, "?"))
    told = told[16 + length:]
print(*sorted(seen))
"""

# Prints only if it gets all of it. To be formatted with a number of bytes.
EAT_MEMORY = """
kept = bytearray({})
print("got", len(kept))
"""

# Prints how many processes it could start.
FORK = """
import os, time

count = 0
try:
    for _ in range(500):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        count += 1
except OSError:
    pass
print(count, flush=True)
"""

# Wants all of a processor.
BURN = "while True: pass"
