"""A sweep's runs on the machines of a Ray cluster that share the sweep's folder.

Every run is a Ray task. When its process or its node dies, Ray starts it again elsewhere, and it goes on from its last
checkpoint. How far a run is, is seen in its folder; nothing else passes between the machines.
"""

import logging
import socket
import sys
from typing import TYPE_CHECKING

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.sweep.worker import Job, work

if TYPE_CHECKING:
    from ray import ObjectRef

RETRIES = 10  # of a run whose process or node died; a machine that always runs out of memory must not go on for ever
SAVING_S = 120  # for the runs in progress to save, when all is stopped


class RayCluster:
    """The workers of the cluster at `address` ("auto": the one this machine is part of).

    Each run takes its share of a node's processors and GPUs; several small runs fit on one GPU by a fraction of it.
    Raises `AbruptlabError` if Ray is not installed, `RunError` if there is no such cluster, or no node that could
    ever have the share.
    """

    def __init__(self, address: str, cpus: float, gpus: float) -> None:
        try:
            import ray
        except ImportError:
            raise AbruptlabError("--ray needs Ray: pip install 'abruptlab[cluster]'") from None
        self._ray = ray
        _require_answer(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RunError(f"no Ray cluster at {address!r}: {str(error).splitlines()[0]}") from None
        share = {"CPU": cpus, "GPU": gpus}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= amount for name, amount in share.items()) for node in nodes):
            has = "; ".join(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in nodes)
            ray.shutdown()
            raise RunError(f"a run is to have {cpus:g} CPU and {gpus:g} GPU; no node of the cluster has: {has}")
        self._work = ray.remote(work).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
        self._pending: dict[ObjectRef, Job] = {}

    @property
    def room(self) -> int:
        """No end: the cluster has a queue of its own."""
        return sys.maxsize

    def submit(self, job: Job) -> None:
        """Give a run to the cluster, which starts it when its share of a node is free."""
        self._pending[self._work.remote(job)] = job

    def finished(self) -> list[tuple[Job, str]]:
        """The runs that have ended since the last call, each with how its process died for good, or ""."""
        refs = list(self._pending)
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0) if refs else ([], [])
        return [(self._pending.pop(ref), self._death(ref)) for ref in ready]

    def _death(self, ref: "ObjectRef") -> str:
        from ray.exceptions import RayError

        try:
            self._ray.get(ref)
        except RayError as error:
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        return ""

    def stop(self) -> None:
        """Cancel what waits, let what runs save, and leave the cluster."""
        refs = list(self._pending)
        for ref in refs:
            self._ray.cancel(ref)
        if refs:
            self._ray.wait(refs, num_returns=len(refs), timeout=SAVING_S)
        self._pending.clear()
        self._ray.shutdown()


def _require_answer(address: str) -> None:
    """Ray tries for minutes to reach a host that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # auto, or what Ray itself will not understand
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"no Ray cluster at {address!r}: {error}") from None
