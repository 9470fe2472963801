"""Where a training runs: device, precision, and the processes that torchrun started.

It imports torch's compiler, which takes as long as torch itself: whoever may end before anything is trained imports
this module, and `fit`, where it trains.
"""

from __future__ import annotations

from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from attar.processes import connect, local_world_size, world_size
from attar.training.device import Precision, check_device


def make_fabric(device: str = "cpu", precision: Precision = "32-true") -> Fabric:
    """Devices and precision as Lightning Fabric holds them, for all processes that torchrun started.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:1`` and the like, or ``mps``. Several processes on ``cuda`` have one each.
        precision: Of the arithmetic in training.

    Raises:
        BadInput: If there is no such device, too few for the processes, or it does not have the precision.
    """
    check_device(device, precision)
    kind, _, index = device.partition(":")
    several = world_size()
    if several == 1:
        fabric = Fabric(accelerator=kind, devices=[int(index)] if index else 1, precision=precision)
    else:
        local = local_world_size()
        connect()
        fabric = Fabric(
            accelerator=kind,
            devices=local,
            num_nodes=several // local,
            precision=precision,
            strategy="ddp",
            plugins=[TorchElasticEnvironment()],
        )
    fabric.launch()
    return fabric
