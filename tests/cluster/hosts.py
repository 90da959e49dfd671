"""Several machines on one: hosts with their own address, disk, processes and sshd.

A host is a network, process, mount, hostname and IPC namespace whose disk is an overlay over that
of this machine. All hosts hang on one bridge inside the laptop's network namespace, which has no
way out: no packet leaves this machine. Needs root.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

__all__ = ["Hosts", "why_not"]

NETWORK = "10.88.0"
BOOT = Path(__file__).with_name("boot_host.sh")
BOOT_S = 20.0
PROGRAMS = ("ip", "unshare", "nsenter", "ssh-keygen", "rsync")
SSHD = Path("/usr/sbin/sshd")


def why_not() -> str:
    """Return why hosts can't be made here, empty where they can."""
    if os.geteuid() != 0:
        return "hosts are namespaces, which need root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    absent += [] if SSHD.exists() else ["sshd"]
    if absent:
        return f"absent: {', '.join(absent)} (packages iproute2, openssh-server, rsync)"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "true"],
        capture_output=True,
        text=True,
    )
    return "" if tried.returncode == 0 else f"namespaces can't be made: {tried.stderr.strip()}"


class Hosts:
    """A laptop and the hosts that it reaches over ssh.

    Args:
        state: an empty folder outside /tmp's own tmpfs of a host; its path is short.
        environment: the virtual environment that all hosts have.
        project: a folder that the laptop sees at /srv/project.
        profile: lines that every host reads at a login, as what a cloud's machine would know.
    """

    def __init__(self, state: Path, environment: Path, project: Path, profile: str = "") -> None:
        self.state, self.environment = state, environment
        self._prefix = f"v{os.getpid() % 10_000}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        state.mkdir(parents=True, exist_ok=True)
        for folder in ("shared", "project"):
            (state / folder).mkdir()
        (state / "profile").write_text(profile)
        shutil.copytree(project, state / "project", dirs_exist_ok=True)
        for key in ("key", "host_key"):
            self._do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(state / key))
        (state / "hosts").write_text(f"127.0.0.1 localhost\n{NETWORK}.1 laptop\n")
        laptop = self._namespace("laptop")
        self._do("ip", "netns", "add", laptop)
        self._do("ip", "-n", laptop, "link", "set", "lo", "up")
        self._do("ip", "-n", laptop, "link", "add", "bridge", "type", "bridge")
        self._do("ip", "-n", laptop, "addr", "add", f"{NETWORK}.1/24", "dev", "bridge")
        self._do("ip", "-n", laptop, "link", "set", "bridge", "up")
        self._boot("laptop")

    @property
    def shared(self) -> Path:
        """What all hosts see at /mnt/vidclass."""
        return self.state / "shared"

    def on(self) -> set[str]:
        """Return the names of the hosts that have power."""
        return set(self._processes)

    def add(self, name: str, number: int) -> str:
        """Start a host and return its address."""
        address, own, laptop = f"{NETWORK}.{number}", self._namespace(name), "laptop"
        with (self.state / "hosts").open("a") as table:
            table.write(f"{address} {name}\n")
        self._do("ip", "netns", "add", own)
        self._do("ip", "-n", own, "link", "set", "lo", "up")
        bridge = self._namespace(laptop)
        cable = f"c{number}"
        self._do(*f"ip -n {bridge} link add {cable} type veth peer name eth0 netns {own}".split())
        self._do(*f"ip -n {bridge} link set {cable} master bridge up".split())
        self._do("ip", "-n", own, "addr", "add", f"{address}/24", "dev", "eth0")
        self._do("ip", "-n", own, "link", "set", "eth0", "up")
        # Ray asks the kernel for the address towards the world; packets end at the laptop
        self._do("ip", "-n", own, "route", "add", "default", "via", f"{NETWORK}.1")
        self._boot(name)
        return address

    def run(
        self, name: str, command: str, *, timeout_s: float = 120, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of shell on a host as its root user would."""
        return subprocess.run(
            self.words(name, command),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=check,
        )

    def start(self, name: str, command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a line of shell on a host and return at once."""
        with log.open("wb") as told:
            return subprocess.Popen(self.words(name, command), stdout=told, stderr=told)

    def words(self, name: str, command: str) -> list[str]:
        """Return the words that run a line of shell on a host."""
        return [*self._inside(name), "bash", "-c", command]

    def processes(self, name: str, pattern: str) -> list[str]:
        """Return the processes of a host whose command line matches."""
        found = self.run(name, f"pgrep -af '{pattern}'", check=False).stdout.splitlines()
        return [line for line in found if "pgrep" not in line]

    def power_off(self, name: str) -> None:
        """End everything of a host at once, as a power cut does; its disk is lost."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def unplug(self, number: int) -> None:
        """Pull the network cable of the host with this last number of its address."""
        self._do("ip", "-n", self._namespace("laptop"), "link", "set", f"c{number}", "down")

    def plug(self, number: int) -> None:
        """Put the cable back."""
        self._do("ip", "-n", self._namespace("laptop"), "link", "set", f"c{number}", "up")

    def boot_again(self, name: str) -> None:
        """Start a host that was powered off; its disk is as new."""
        shutil.rmtree(self.state / name)
        self._boot(name)

    def use_image(self) -> None:
        """Have hosts that are added from now on start with vidclass inside."""
        (wheel,) = (self.state / "project" / "dist").glob("vidclass-*.whl")
        packages = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.state / "image" / packages)

    def pin(self, name: str, cores: str) -> None:
        """Let a host use these cores alone, as ``0`` or ``0-1``."""
        self._do("taskset", "--all-tasks", "--pid", "--cpu-list", cores, self._first_process(name))

    def remove(self, name: str) -> None:
        """Power a host off for good; its address and its name may be given again."""
        self.power_off(name)
        self._do("ip", "netns", "del", self._namespace(name))
        shutil.rmtree(self.state / name)
        table = self.state / "hosts"
        kept = [line for line in table.read_text().splitlines() if line.split()[1] != name]
        table.write_text("\n".join(kept) + "\n")

    def close(self) -> None:
        """End all hosts and remove what they left."""
        for name in list(self._processes):
            self.power_off(name)
        time.sleep(0.5)
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
        for line in listed.splitlines():
            if line.startswith(f"{self._prefix}-"):
                self._do("ip", "netns", "del", line.split()[0])
        shutil.rmtree(self.state, ignore_errors=True)

    def _namespace(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _boot(self, name: str) -> None:
        folder = self.state / name
        folder.mkdir()
        unshare = "unshare --pid --mount --uts --ipc --fork --kill-child".split()
        boot = ["bash", str(BOOT), name, str(self.state), str(self.environment)]
        with (folder / "boot.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", self._namespace(name), *unshare, *boot],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + BOOT_S
        while not (folder / "ready").exists():
            if time.monotonic() > deadline or self._processes[name].poll() is not None:
                raise RuntimeError(f"{name}: {(folder / 'boot.log').read_text()}")
            time.sleep(0.05)

    def _inside(self, name: str) -> list[str]:
        """Return the words that take a command into a host."""
        clean = {
            "HOME": "/root",
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PATH": f"{self.environment}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }
        words = [f"{key}={value}" for key, value in clean.items()]
        enter = f"nsenter -t {self._first_process(name)} -n -p -m -u -i -r -w env -i"
        return [*enter.split(), *words]

    def _first_process(self, name: str) -> str:
        """Return the process number, as this machine counts, of a host's first process."""
        (first,) = subprocess.run(
            ["pgrep", "-o", "-P", str(self._processes[name].pid)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        return first

    @staticmethod
    def _do(*words: str) -> None:
        ended = subprocess.run(words, capture_output=True, text=True)
        if ended.returncode:
            raise RuntimeError(f"{' '.join(words)}: {ended.stderr.strip()}")
