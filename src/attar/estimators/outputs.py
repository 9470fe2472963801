"""What the network of a mimic says of rows, in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from attar.network.copying import copied
from attar.network.defaults import with_library_defaults
from attar.network.evaluating import evaluating

_CHUNK = 16_384
"""Rows in one batch."""


@with_library_defaults
def outputs_for(network: nn.Module, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Logits, log-odds or values ``[rows, outputs]`` of encoded rows.

    Rows are rounded to float32, which is what artifacts take; beyond that the arithmetic is float64, so that the output
    for a row does not depend on the rows beside it.

    Args:
        network: Of float32; it stays as it is.
        matrix: ``[rows, columns]``.
    """
    double = copied(network).double()
    rows = torch.from_numpy(matrix.astype(np.float32)).double()
    with evaluating(double):
        outputs: npt.NDArray[np.float64] = torch.cat([double(chunk) for chunk in torch.split(rows, _CHUNK)]).numpy()
    return outputs
