"""Data-parallel training: the processes that an MPI launcher starts share every minibatch.

    mpiexec -n 4 python -m minidraw.train mnist

Every rank holds the whole network and draws the whole minibatch and its noise, but computes the gradient of its part
only; one Allreduce of one vector turns that into the gradient of the minibatch. As all start alike and step alike,
their parameters are equal to the last bit and never sent. The first rank alone writes and talks. mpi4py is imported
only under a launcher. NCCL, which adds vectors up on the GPUs, would be one more class here, with its own `mean_`.
"""

import atexit
import contextlib
import hashlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Array, array_module
from ..errors import UserError
from .workers import WorkerDied, cores

LAUNCHERS = (("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"))  # MPICH and its kin, Open MPI
STARTING = 45  # seconds that a process waits for the others to start, before a signal ends it
FORWARDING = 0.3  # seconds that the launcher has to pass on what a rank says last; it kills all ranks at once
PATIENCE = 2.0  # seconds that the others leave the first rank to tell of a mistake which may be of all


class Ranks:
    """A process on its own, the only rank: what it computes is left as it is."""

    rank, size = 0, 1
    threads: int | None = None  # cores for this rank; None: all

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, *_) -> None:
        """On leaving by an exception, end the other ranks too."""

    def choose_device(self, backend: str) -> None:
        """Spread the ranks of a machine over its GPUs."""

    def first_alone(self) -> contextlib.AbstractContextManager:
        """Return a context that the others enter when the first rank has left it, and filled caches for them."""
        return contextlib.nullcontext()

    def part(self, images: int) -> slice:
        """Return which of a minibatch's images are this rank's; from now on means are weighted by their number."""
        return slice(0, images)

    def mean_(self, flat: Array, xp) -> None:
        """Turn a vector, in place, into the mean over all ranks."""

    def mean(self, numbers: Sequence[float]) -> Sequence[float]:
        """Return the means over all ranks, the same on every one of them."""
        return numbers

    def any(self, flag: object) -> bool:
        """Tell whether `flag` is true on any rank."""
        return bool(flag)

    def check_same(self, vectors: Sequence[np.ndarray], settings: dict[str, Any] | None = None) -> None:
        """Raise UserError, on all ranks, if they differ in a bit of `vectors` or in a value of `settings`."""


class MPIRanks(Ranks):
    """The processes of an mpi4py communicator."""

    def __init__(self, comm):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self.share, self.staging = 1.0 / comm.size, np.empty(0)
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(cores()))
        everyone = comm.allgather((socket.gethostname(), allowed))
        here = [rank for rank, (host, _) in enumerate(everyone) if host == everyone[self.rank][0]]
        self.place_on_machine = here.index(self.rank)
        self.threads = max(1, len(set().union(*(everyone[rank][1] for rank in here))) // len(here))

    def __exit__(self, kind: type | None, problem: BaseException | None, _) -> None:
        if problem is None:
            return
        helped = isinstance(problem, SystemExit) and not problem.code
        mistake = isinstance(problem, (UserError, WorkerDied, MemoryError, OSError))  # as in cli.run
        status = 0 if helped else 130 if isinstance(problem, KeyboardInterrupt) else 2 if mistake else 1
        if self.rank:
            time.sleep(PATIENCE)
            print(f"rank {self.rank} of {self.size}:", end=" ", file=sys.stderr, flush=True)
            if helped:  # and the first one not, which would have ended all by now
                print("error: --help is for all ranks or none", file=sys.stderr)
                status = 2
        atexit.register(self._abort, status)  # when the message is out; MPI's own end would wait for the others

    def _abort(self, status: int) -> None:
        sys.stderr.flush()
        time.sleep(FORWARDING)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # MPI has nothing to add to what was told
        self.comm.Abort(status)

    def choose_device(self, backend: str) -> None:
        xp = array_module(backend)
        if xp is not np:
            xp.cuda.Device(self.place_on_machine % xp.cuda.runtime.getDeviceCount()).use()

    @contextlib.contextmanager
    def first_alone(self):
        if self.rank:
            self.comm.Barrier()
        yield
        if not self.rank:
            self.comm.Barrier()

    def part(self, images: int) -> slice:
        if images < self.size:
            raise UserError(f"batch_size {images} is less than the {self.size} ranks: start fewer, or take more images")
        first, last = (images * k // self.size for k in (self.rank, self.rank + 1))
        self.share = (last - first) / images
        return slice(first, last)

    def mean_(self, flat: Array, xp) -> None:
        flat *= self.share
        if xp is np:
            self.comm.Allreduce(None, flat)  # None: in place
            return
        if len(self.staging) != len(flat):  # memory that a GPU copies from and to without a detour
            self.staging = np.frombuffer(xp.cuda.alloc_pinned_memory(flat.nbytes), flat.dtype, len(flat))
        flat.get(out=self.staging)
        self.comm.Allreduce(None, self.staging)
        flat.set(self.staging)

    def mean(self, numbers: Sequence[float]) -> Sequence[float]:
        means = self.share * np.array(numbers, np.float64)
        self.comm.Allreduce(None, means)
        return means.tolist()

    def any(self, flag: object) -> bool:
        return self.mean([bool(flag)])[0] > 0

    def check_same(self, vectors: Sequence[np.ndarray], settings: dict[str, Any] | None = None) -> None:
        digest = hashlib.blake2b()
        for vector in vectors:
            digest.update(vector)
        found = self.comm.allgather((settings or {}, digest.digest()))
        for rank, (its, _) in enumerate(found):
            first = found[0][0]
            if differs := [name for name in its if its[name] != first.get(name)][:3]:
                here, there = (", ".join(f"{name}={of.get(name)}" for name in differs) for of in (its, first))
                raise UserError(
                    f"rank {rank} has {here}, rank 0 has {there}: start all ranks with the same arguments, data, "
                    "checkpoint and programs"
                )
        if len({sums for _, sums in found}) > 1:
            raise UserError("the parameters of the ranks differ: start all from the same checkpoint, the last one")


def connect() -> Ranks:
    """Return this process's place among those that an MPI launcher started with it, if one did.

    Raises UserError, on the first rank, where mpi4py is missing or of another MPI than the launcher; the others exit.
    """
    found = [[os.environ[name] for name in names] for names in LAUNCHERS if os.environ.keys() >= set(names)]
    try:
        rank, size = map(int, found[0] if found else (0, 1))
    except ValueError:
        raise UserError(f"a launcher gave rank and size {found[0]}, not numbers: use mpiexec, or unset them") from None
    if size == 1:
        return Ranks()
    alarm = getattr(signal, "alarm", int)  # there is none on Windows
    alarm(STARTING)
    try:
        from mpi4py import MPI  # starts MPI, which waits for all processes, also for one that is dead
    except (ImportError, RuntimeError):  # RuntimeError: there is no MPI library
        mistake = "training under mpiexec needs mpi4py and an MPI: pip install mpi4py mpich"
    else:
        if MPI.COMM_WORLD.size == size:
            if rank:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the first one talks
            ranks = MPIRanks(MPI.COMM_WORLD)
            _unname_memory()
            return ranks
        mistake = f"of the {size} processes started mpi4py sees {MPI.COMM_WORLD.size}: use the mpiexec of its own MPI"
    finally:
        alarm(0)
    if rank:
        time.sleep(PATIENCE)
        sys.exit(2)
    raise UserError(mistake)


def _unname_memory() -> None:
    """Take the names from the memory that MPICH shares on a machine: all ranks have it by now, and it goes with them.

    MPICH does that at its end, and leaves the files where it has none, as after a mistake.
    """
    maps = ""
    with contextlib.suppress(OSError):  # there is no /proc
        maps = Path("/proc/self/maps").read_text(errors="replace")
    for path in set(re.findall(r" (/dev/shm/mpich_shm_\S+)$", maps, re.MULTILINE)):
        with contextlib.suppress(OSError):  # another rank was the first
            os.remove(path)
