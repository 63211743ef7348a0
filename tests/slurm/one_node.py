"""A real SLURM of one node for the tests: its own keys, ports, state and, where asked for, accounting database.

Every daemon is a child of this process, which ends them by their process number and waits until they are gone.
Run as a program it says what is missing, and with ``--install`` installs Debian's packages where it may.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PACKAGES = ("slurm-wlm", "slurm-wlm-basic-plugins", "munge", "slurmdbd", "mariadb-server")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
ACCOUNTING_PROGRAMS = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb-install-db")
CONFIGURATION = Path("/etc/slurm")
"""SLURM's own place: programs inside jobs look only there, because the executor removes SLURM_CONF from them."""

LINKED = ("slurm.conf", "gres.conf", "cgroup.conf")
ACCOUNT, PARTITION = "tests", "debug"
_PR_SET_PDEATHSIG = 1
_MEMORY_MB = 256_000

_SLURM_CONF = """
ClusterName=understudy
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
# Cores are counted, memory only has to fit the node's line.
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=2,bf_interval=2
# No default: a wrong or missing --mpi must show.
MpiDefault=none
# MPICH names its shared memory after the job's number: one that a killed job left behind must not be met again.
FirstJobId={first_job}
GresTypes=gpu
ReturnToService=2
MailProg=/bin/true
# Without accounting the controller alone remembers finished jobs, also for the tests.
MinJobAge=86400
# Trust the node's line, whatever the hardware.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} Boards=1 SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 \
RealMemory={memory} Gres=gpu:fake:1 State=UNKNOWN
PartitionName={partition} Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
_WITHOUT_ACCOUNTING = """
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
"""
_WITH_ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[2]}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu,gres/gpu:fake
AccountingStoreFlags=job_comment
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
"""
_SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[2]}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""
# A pretend GPU: /dev/null is a device that every machine has.
_GRES_CONF = "NodeName={host} Name=gpu Type=fake File=/dev/null\n"
_CGROUP_CONF = "CgroupPlugin=cgroup/{version}\nCgroupAutomount=no\n"


def missing(accounting: bool) -> str | None:
    """Why no SLURM can be started here, None where it can."""
    if os.geteuid() != 0:
        return "found an ordinary user; accepted is root, whom slurmd needs"
    wanted = [*PROGRAMS, *(ACCOUNTING_PROGRAMS if accounting else ())]
    absent = [name for name in wanted if shutil.which(name) is None]
    if absent:
        return f"found no {', '.join(absent)}; accepted are Debian's packages {' '.join(PACKAGES)} (make test-slurm)"
    for name in LINKED:
        path = CONFIGURATION / name
        if path.exists() and not path.is_symlink():
            return f"found {path}, a configured SLURM; accepted is a machine without one"
    # Links of a test that was killed are replaced; those of one that runs are not.
    if (CONFIGURATION / LINKED[0]).exists() and "UP" in _output("scontrol", "ping"):
        return f"found a running SLURM by {CONFIGURATION / LINKED[0]}; accepted is a machine without one"
    return None


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60).stdout.strip()


def install() -> None:
    """Install Debian's packages, as root and with apt-get; without either nothing happens."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        subprocess.run(["apt-get", "--quiet=2", *arguments], env=environment, check=False, stdout=subprocess.DEVNULL)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _end_with_parent() -> None:
    """In a daemon before it starts: no daemon outlives the tests, not even killed ones."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def wait_until(test: Callable[[], bool], what: str, limit_s: float = 60) -> None:
    """Wait for ``test``; TimeoutError naming ``what`` after ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while not test():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_s:.0f} s for {what}")
        time.sleep(0.1)


class OneNode:
    """A running one-node SLURM, as a context manager.

    Parameters
    ----------
    folder : private state folder, on a local file system.
    accounting : with slurmdbd and a MariaDB of its own, where every job needs the account `ACCOUNT`.
    cores : that the node claims to have.
    """

    def __init__(self, folder: Path, accounting: bool, cores: int = 2) -> None:
        self.folder, self.accounting, self.cores = folder, accounting, cores
        self._daemons: list[tuple[str, subprocess.Popen]] = []
        self._links: list[Path] = []

    def __enter__(self) -> OneNode:
        self._write_configuration()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if any(name == "slurmctld" for name, _ in self._daemons):
            self.command("scancel", "--user=root", check=False)
            try:
                wait_until(lambda: not self.command("squeue", "--noheader", check=False), "the last jobs' end")
            except TimeoutError as error:
                print(error, file=sys.stderr)
        # Backwards: the controller before the database, munge last.
        while self._daemons:
            name, process = self._daemons.pop()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                print(f"{name} ({process.pid}) does not end; killed", file=sys.stderr)
                process.kill()
                process.wait()
        while self._links:
            self._links.pop().unlink(missing_ok=True)

    def command(self, *words: str, check: bool = True) -> str:
        """Output of a SLURM command."""
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """What ``scontrol show job`` says, by name."""
        text = self.command("scontrol", "--oneliner", "show", "job", number)
        return dict(word.partition("=")[::2] for word in text.split() if "=" in word)

    def _write_configuration(self) -> None:
        for name in ("state", "spool", "database"):
            (self.folder / name).mkdir(parents=True)
        ports = _free_ports(3)
        facts = {
            "host": socket.gethostname().split(".")[0],
            "folder": self.folder,
            "ports": ports,
            "cores": self.cores,
            "memory": _MEMORY_MB,
            "first_job": 1_000_000 + secrets.randbelow(50_000_000),
            "partition": PARTITION,
            "version": "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1",
        }
        storage = _WITH_ACCOUNTING if self.accounting else _WITHOUT_ACCOUNTING
        for name, text in (
            ("slurm.conf", _SLURM_CONF + storage),
            ("gres.conf", _GRES_CONF),
            ("cgroup.conf", _CGROUP_CONF),
            ("slurmdbd.conf", _SLURMDBD_CONF),
        ):
            path = self.folder / name
            path.write_text(text.format(**facts))
            path.chmod(0o600 if name == "slurmdbd.conf" else 0o644)
        (self.folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (self.folder / "munge.key").chmod(0o600)
        CONFIGURATION.mkdir(exist_ok=True)
        for name in LINKED:
            link = CONFIGURATION / name
            link.unlink(missing_ok=True)  # of a test that was killed: a real file was refused before
            link.symlink_to(self.folder / name)
            self._links.append(link)

    def _daemon(self, *words: str, variables: dict[str, str] | None = None) -> None:
        name = words[0]
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(variables or {})},
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._daemons.append((name, process))

    def _ready(self, test: Callable[[], bool]) -> None:
        """Wait until the daemon that was started last answers."""
        name, process = self._daemons[-1]

        def answered() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {(self.folder / f'{name}.log').read_text()[-2000:]}")
            return test()

        wait_until(answered, name)

    def _answers(self, *words: str) -> bool:
        return subprocess.run(words, capture_output=True, timeout=60).returncode == 0

    def _start(self) -> None:
        place = self.folder
        self._daemon(
            *("munged", "--foreground", "--force", "--num-threads=2", f"--socket={place}/munge.socket"),
            *(f"--key-file={place}/munge.key", f"--pid-file={place}/munged.pid"),
            *(f"--seed-file={place}/munged.seed", f"--log-file={place}/munged-own.log"),
        )
        self._ready(lambda: self._answers("munge", "--no-input", f"--socket={place}/munge.socket"))
        if self.accounting:
            self._start_accounting()
        self._daemon("slurmctld", "-D", "-f", f"{place}/slurm.conf")
        self._ready(lambda: self._answers("scontrol", "ping") and "UP" in self.command("scontrol", "ping"))
        self._daemon("slurmd", "-D", "-f", f"{place}/slurm.conf")
        self._ready(lambda: self.command("sinfo", "--noheader", "--format=%t", check=False) == "idle")

    def _start_accounting(self) -> None:
        place = self.folder
        database = f"--datadir={place}/database"
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", database, "--user=root", "--skip-test-db"],
            check=True,
            capture_output=True,
            timeout=120,
        )
        self._daemon(
            *("mariadbd", "--no-defaults", database, "--user=root", "--skip-networking"),
            *(f"--socket={place}/database.socket", f"--pid-file={place}/mariadbd.pid"),
            *("--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--innodb-lock-wait-timeout=900"),
        )
        self._ready(lambda: self._answers("mariadb-admin", f"--socket={place}/database.socket", "ping"))
        # The client library looks for the socket where this variable says; slurmdbd has no key for it.
        self._daemon(
            "slurmdbd",
            "-D",
            variables={"SLURM_CONF": f"{place}/slurm.conf", "MYSQL_UNIX_PORT": f"{place}/database.socket"},
        )
        self._ready(lambda: self._answers("sacctmgr", "--immediate", "show", "cluster"))
        for words in (
            ("cluster", "understudy"),
            ("account", ACCOUNT, "Cluster=understudy"),
            ("user", "root", f"Account={ACCOUNT}"),
        ):
            # One of them may be there already, as root is.
            self.command("sacctmgr", "--immediate", "add", *words, check=False)
        if ACCOUNT not in self.command("sacctmgr", "--noheader", "--parsable2", "show", "associations"):
            raise RuntimeError(f"sacctmgr did not add the account {ACCOUNT}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--install", action="store_true", help="install Debian's packages where it may")
    if parser.parse_args(arguments).install and missing(accounting=True) is not None:
        install()
    reason = missing(accounting=True)
    print(reason or "a one-node SLURM can be started here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
