"""One list of points for all tensors of a network, instead of one for each."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn.utils import parametrize

from attar.errors import must
from attar.ops.dtypes import at_least_float32
from attar.ops.granularity import PerTensor
from attar.quantization.attach import WeightFormat
from attar.quantization.formats.codebook import Codebook


def share_codebook_(student: nn.Module) -> nn.Module:
    """Give all tensors with a codebook the same points, in place, and return the student.

    The points begin as the codebooks say, on the scaled values of all of these tensors together; they are one
    parameter, whose gradient is the sum of what the tensors give it.

    Args:
        student: What `attar.quantization.quantize.quantize` gave.

    Raises:
        BadInput: If no tensor has a codebook, or their settings differ.

    References:
        Polino, Pascanu, Alistarh, *Model compression via distillation and quantization*, 2018: the code has such points
        as an option.
    """
    found = [
        (attached[0], attached.original)
        for layer in student.modules()
        if parametrize.is_parametrized(layer)
        for attached in layer.parametrizations.values()  # type: ignore[operator]
        if isinstance(attached[0], WeightFormat) and isinstance(attached[0].form, Codebook)
    ]
    forms = {attached.form for attached, _ in found}
    if len(forms) != 1:
        rule = "one with the same codebook on all of its tensors that have one"
        raise must("student", "share_codebook_", rule, f"{len(forms)} different", "Quantize with one Codebook()")
    (form,) = forms
    assert isinstance(form, Codebook)
    scaled = []
    for _, tensor in found:
        rows = form.granularity.rows(at_least_float32(tensor.detach()))
        table = form.calibrate(tensor.detach())
        within = (rows - table["low"][:, None]) / table["span"][:, None]
        scaled.append(form.granularity.from_rows(within, tuple(tensor.shape)).reshape(-1))
    # Scaled values are from 0 to 1 already: one group leaves them so.
    points = nn.Parameter(replace(form, granularity=PerTensor()).initial_table(torch.cat(scaled))["points"])
    for attached, _ in found:
        if "points" in attached._parameters:
            attached.points = points
        else:
            attached.points = points.detach()
    return student
