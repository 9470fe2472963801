"""Attar makes big models small: a trained model and data in; the smallest fast model that keeps its accuracy out.

    run = attar.compress("digits")  # or a recipe of your own, "mine.toml"
    run                             # what ships, its size and score, whether the budget is met
    run.predict(x)                  # classes as the labels were; run.predict_proba, run.logits
    model = attar.load(run.folder / "artifact")

- A whole run: `compress` does what a recipe (`read_recipe`) says, `study` several side by side.
- Any estimator of scikit-learn: `Mimic(forest).fit(X)`.
- Data and teachers: `load_data`, `from_arrays`, `from_torch`, `as_teacher`, `label`, `synthesize`.
- Training: `fit` with an `Objective`, each `Term` of it a loss, on a `TransferSet`; `TensorBoard`, `MLflow` watch it.
- Low bits: `quantize` with a format such as `Uniform` or `Ternary`; `allocate_bits`.
- What comes out: `candidates`, `deploy`, `measure`, `race`; `load` opens an artifact.
- What goes wrong: all errors are of `AttarError`, and wrong input is `BadInput`.

Each name is imported when it is first asked for, so that ``import attar`` costs nothing; a name that is not here is
reached through its module and may move between versions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attar.data.datasets import Dataset as Dataset
    from attar.data.datasets import Split as Split
    from attar.data.datasets import from_arrays as from_arrays
    from attar.data.datasets import from_torch as from_torch
    from attar.data.datasets import load as load_data
    from attar.data.store import Targets as Targets
    from attar.data.store import label as label
    from attar.data.store import merge as merge
    from attar.data.synthesis.synthesize import synthesize as synthesize
    from attar.data.transfer_set import Live as Live
    from attar.data.transfer_set import TransferSet as TransferSet
    from attar.data.views import Views as Views
    from attar.deployment.artifact import load as load
    from attar.deployment.candidates import candidates as candidates
    from attar.deployment.deploy import deploy as deploy
    from attar.deployment.packed.report import size_report as size_report
    from attar.errors import AttarError as AttarError
    from attar.errors import BadInput as BadInput
    from attar.estimators.mimic import Mimic as Mimic
    from attar.evidence.latency import race as race
    from attar.evidence.measure import measure as measure
    from attar.network.spec import Spec as Spec
    from attar.ops.granularity import PerAxis as PerAxis
    from attar.ops.granularity import PerGroup as PerGroup
    from attar.ops.granularity import PerTensor as PerTensor
    from attar.ops.top_k import TopK as TopK
    from attar.quantization.allocation import allocate_bits as allocate_bits
    from attar.quantization.attach import dequantize as dequantize
    from attar.quantization.attach import encode as encode
    from attar.quantization.attach import train_codebooks_only_ as train_codebooks_only_
    from attar.quantization.formats.affine import Affine as Affine
    from attar.quantization.formats.clipped import Clipped as Clipped
    from attar.quantization.formats.codebook import Codebook as Codebook
    from attar.quantization.formats.dorefa import DoReFa as DoReFa
    from attar.quantization.formats.fixed_point import DynamicFixedPoint as DynamicFixedPoint
    from attar.quantization.formats.power_of_two import PowerOfTwo as PowerOfTwo
    from attar.quantization.formats.ternary import Ternary as Ternary
    from attar.quantization.formats.uniform import Uniform as Uniform
    from attar.quantization.formats.wrpn import Wrpn as Wrpn
    from attar.quantization.quantize import quantize as quantize
    from attar.quantization.sharing import share_codebook_ as share_codebook_
    from attar.recipes.compress import compress as compress
    from attar.recipes.read import read as read_recipe
    from attar.recipes.study import study as study
    from attar.tables.columns import Columns as Columns
    from attar.tasks.classification import Classification as Classification
    from attar.tasks.dense import Dense as Dense
    from attar.tasks.multilabel import MultiLabel as MultiLabel
    from attar.teachers.as_teacher import as_teacher as as_teacher
    from attar.teachers.build_library import build_library as build_library
    from attar.teachers.ensemble import Ensemble as Ensemble
    from attar.teachers.ensemble_selection import EnsembleSelection as EnsembleSelection
    from attar.teachers.estimator import EstimatorTeacher as EstimatorTeacher
    from attar.teachers.labels import LabelsTeacher as LabelsTeacher
    from attar.teachers.onnx import OnnxTeacher as OnnxTeacher
    from attar.teachers.resized import ResizedTeacher as ResizedTeacher
    from attar.teachers.selection import select as select
    from attar.teachers.specialists.specialists import Specialists as Specialists
    from attar.teachers.specialists.specialize import specialize as specialize
    from attar.teachers.subset import SubsetTeacher as SubsetTeacher
    from attar.teachers.teacher import NetworkTeacher as NetworkTeacher
    from attar.tracking.mlflow import MLflow as MLflow
    from attar.tracking.tensorboard import TensorBoard as TensorBoard
    from attar.training.fit import fit as fit
    from attar.training.losses.binary import BinaryLabels as BinaryLabels
    from attar.training.losses.binary import BinaryTargets as BinaryTargets
    from attar.training.losses.decoupled import Decoupled as Decoupled
    from attar.training.losses.decoupled import StandardizedLogits as StandardizedLogits
    from attar.training.losses.features import AttentionMaps as AttentionMaps
    from attar.training.losses.features import HiddenMatch as HiddenMatch
    from attar.training.losses.outputs import CenteredLogits as CenteredLogits
    from attar.training.losses.outputs import HardLabels as HardLabels
    from attar.training.losses.outputs import HardValues as HardValues
    from attar.training.losses.outputs import SoftTargets as SoftTargets
    from attar.training.losses.outputs import SquaredError as SquaredError
    from attar.training.losses.relations import RelationalAngles as RelationalAngles
    from attar.training.losses.relations import RelationalDistances as RelationalDistances
    from attar.training.objective import Objective as Objective
    from attar.training.objective import Term as Term
    from attar.training.schedule import Ramp as Ramp
    from attar.training.settings import Training as Training

    __version__: str

__all__ = [
    "Affine",
    "AttarError",
    "AttentionMaps",
    "BadInput",
    "BinaryLabels",
    "BinaryTargets",
    "CenteredLogits",
    "Classification",
    "Clipped",
    "Codebook",
    "Columns",
    "Dataset",
    "Decoupled",
    "Dense",
    "DoReFa",
    "DynamicFixedPoint",
    "Ensemble",
    "EnsembleSelection",
    "EstimatorTeacher",
    "HardLabels",
    "HardValues",
    "HiddenMatch",
    "LabelsTeacher",
    "Live",
    "MLflow",
    "Mimic",
    "MultiLabel",
    "NetworkTeacher",
    "Objective",
    "OnnxTeacher",
    "PerAxis",
    "PerGroup",
    "PerTensor",
    "PowerOfTwo",
    "Ramp",
    "RelationalAngles",
    "RelationalDistances",
    "ResizedTeacher",
    "SoftTargets",
    "Spec",
    "Specialists",
    "Split",
    "SquaredError",
    "StandardizedLogits",
    "SubsetTeacher",
    "Targets",
    "TensorBoard",
    "Term",
    "Ternary",
    "TopK",
    "Training",
    "TransferSet",
    "Uniform",
    "Views",
    "Wrpn",
    "__version__",
    "allocate_bits",
    "as_teacher",
    "build_library",
    "candidates",
    "compress",
    "deploy",
    "dequantize",
    "encode",
    "fit",
    "from_arrays",
    "from_torch",
    "label",
    "load",
    "load_data",
    "measure",
    "merge",
    "quantize",
    "race",
    "read_recipe",
    "select",
    "share_codebook_",
    "size_report",
    "specialize",
    "study",
    "synthesize",
    "train_codebooks_only_",
]

_HOMES = {
    "Affine": "attar.quantization.formats.affine",
    "AttarError": "attar.errors",
    "AttentionMaps": "attar.training.losses.features",
    "BadInput": "attar.errors",
    "BinaryLabels": "attar.training.losses.binary",
    "BinaryTargets": "attar.training.losses.binary",
    "CenteredLogits": "attar.training.losses.outputs",
    "Classification": "attar.tasks.classification",
    "Clipped": "attar.quantization.formats.clipped",
    "Codebook": "attar.quantization.formats.codebook",
    "Columns": "attar.tables.columns",
    "Dataset": "attar.data.datasets",
    "Decoupled": "attar.training.losses.decoupled",
    "Dense": "attar.tasks.dense",
    "DoReFa": "attar.quantization.formats.dorefa",
    "DynamicFixedPoint": "attar.quantization.formats.fixed_point",
    "Ensemble": "attar.teachers.ensemble",
    "EnsembleSelection": "attar.teachers.ensemble_selection",
    "EstimatorTeacher": "attar.teachers.estimator",
    "HardLabels": "attar.training.losses.outputs",
    "HardValues": "attar.training.losses.outputs",
    "HiddenMatch": "attar.training.losses.features",
    "LabelsTeacher": "attar.teachers.labels",
    "Live": "attar.data.transfer_set",
    "MLflow": "attar.tracking.mlflow",
    "Mimic": "attar.estimators.mimic",
    "MultiLabel": "attar.tasks.multilabel",
    "NetworkTeacher": "attar.teachers.teacher",
    "Objective": "attar.training.objective",
    "OnnxTeacher": "attar.teachers.onnx",
    "PerAxis": "attar.ops.granularity",
    "PerGroup": "attar.ops.granularity",
    "PerTensor": "attar.ops.granularity",
    "PowerOfTwo": "attar.quantization.formats.power_of_two",
    "Ramp": "attar.training.schedule",
    "RelationalAngles": "attar.training.losses.relations",
    "RelationalDistances": "attar.training.losses.relations",
    "ResizedTeacher": "attar.teachers.resized",
    "SoftTargets": "attar.training.losses.outputs",
    "Spec": "attar.network.spec",
    "Specialists": "attar.teachers.specialists.specialists",
    "Split": "attar.data.datasets",
    "SquaredError": "attar.training.losses.outputs",
    "StandardizedLogits": "attar.training.losses.decoupled",
    "SubsetTeacher": "attar.teachers.subset",
    "Targets": "attar.data.store",
    "TensorBoard": "attar.tracking.tensorboard",
    "Term": "attar.training.objective",
    "Ternary": "attar.quantization.formats.ternary",
    "TopK": "attar.ops.top_k",
    "Training": "attar.training.settings",
    "TransferSet": "attar.data.transfer_set",
    "Uniform": "attar.quantization.formats.uniform",
    "Views": "attar.data.views",
    "Wrpn": "attar.quantization.formats.wrpn",
    "allocate_bits": "attar.quantization.allocation",
    "as_teacher": "attar.teachers.as_teacher",
    "build_library": "attar.teachers.build_library",
    "candidates": "attar.deployment.candidates",
    "compress": "attar.recipes.compress",
    "deploy": "attar.deployment.deploy",
    "encode": "attar.quantization.attach",
    "fit": "attar.training.fit",
    "from_arrays": "attar.data.datasets",
    "from_torch": "attar.data.datasets",
    "label": "attar.data.store",
    "load": "attar.deployment.artifact",
    "load_data": "attar.data.datasets:load",
    "measure": "attar.evidence.measure",
    "merge": "attar.data.store",
    "train_codebooks_only_": "attar.quantization.attach",
    "quantize": "attar.quantization.quantize",
    "race": "attar.evidence.latency",
    "read_recipe": "attar.recipes.read:read",
    "select": "attar.teachers.selection",
    "share_codebook_": "attar.quantization.sharing",
    "size_report": "attar.deployment.packed.report",
    "specialize": "attar.teachers.specialists.specialize",
    "study": "attar.recipes.study",
    "synthesize": "attar.data.synthesis.synthesize",
    "dequantize": "attar.quantization.attach",
}
"""The module of each public name, and after a colon its name there where that is another."""


if not TYPE_CHECKING:  # a checker that saw this would take every misspelt name for a public one

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for (PEP 562), and keep it."""
        value: object
        if name == "__version__":
            from importlib.metadata import version

            value = version("attar")
        elif name in _HOMES:
            module, _, there = _HOMES[name].partition(":")
            value = getattr(import_module(module), there or name)
        else:
            from attar.renamed import FUNCTIONS

            now = f" any more. Write attar.{FUNCTIONS[name]} in its place." if name in FUNCTIONS else ""
            raise AttributeError(f"module 'attar' has no attribute {name!r}{now}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
