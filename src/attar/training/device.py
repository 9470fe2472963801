"""Which devices this machine has for a training, asked without what a training takes."""

from __future__ import annotations

from typing import Literal

import torch

from attar.errors import must
from attar.processes import local_world_size, world_size

Precision = Literal["32-true", "bf16-mixed"]
"""Of the arithmetic in training, by Lightning Fabric's names."""


def check_device(device: str, precision: Precision = "32-true") -> None:
    """See that the device is there, for all processes that torchrun started, and has the precision.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:1`` and the like, or ``mps``. Several processes on ``cuda`` have one each.
        precision: Of the arithmetic in training.

    Raises:
        BadInput: If there is no such device, too few for the processes, or it does not have the precision.
    """
    kind, colon, index = device.partition(":")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(kind, False) or (colon and kind != "cuda"):
        here = ", ".join(name for name, present in available.items() if present)
        remedy = "Choose another or leave it out"
        if kind == "cuda" and torch.version.cuda is None and torch.version.hip is None:
            remedy = "The PyTorch that is installed is built for CPUs: pytorch.org has others; or leave it out"
        raise must("device", "the run", f"one that this machine has ({here})", device, remedy)
    if kind == "cuda" and colon and not (index.isdigit() and int(index) < torch.cuda.device_count()):
        raise must("device", "the run", f"below cuda:{torch.cuda.device_count()}", device, "Choose another number")
    if precision == "bf16-mixed" and kind == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise must("precision", "Training", "32-true on this CPU, which has no bf16", precision, "Leave it out")
    if world_size() > 1:
        local = local_world_size()
        most = torch.cuda.device_count() if kind == "cuda" else 1 if kind == "mps" else local
        if local > most or colon:
            rule = f"cpu, or cuda with a device for each of the {local} processes here"
            raise must("device", "the run", rule, device, "Start fewer processes, or choose cpu")
