"""Steps done one after the other, each a node of the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attar.models.model import Model, load_model, save_model
from attar.network.weights import digest, load_weights, save_weights
from attar.pipeline.nodes import Node, Nodes
from attar.pipeline.step import Step, Tools
from attar.pipeline.trained import Trained
from attar.processes import rank
from attar.quantization.edit import Quantize

_TEACHER = "teacher.safetensors"
"""The weights of a teacher that learned beside the model."""

_CHANGE_NO_RESULT = frozenset({"checkpoint_seconds"})
"""Settings that are no part of a key."""


def run_steps(
    steps: Sequence[Step],
    first: Model,
    tools: Tools,
    nodes: Nodes,
    *,
    name: str,
    shared: str | None = None,
    allow: Collection[str] = ("attar",),
) -> Trained:
    """Do all steps of one model, or find them done.

    Args:
        steps: What is done, completed by the recipe's settings.
        first: The fresh model.
        tools: What the steps may use; without a teacher they make a baseline.
        nodes: Where results are kept.
        name: What the model is called, such as ``student/0``.
        shared: What it is called as long as no teacher took part: it then is another model's, too.
        allow: Packages of whose functions models may be built.

    Raises:
        BadInput: If a step cannot be done with this model or these tools.
        Diverged: If a loss becomes NaN.
    """
    model, called, done = first, shared or name, list[Trained]()
    parents: list[Node] = []
    for place, step in enumerate(steps, start=1):
        own = tools if step.needs_teacher(tools) else tools.without_teacher()
        if own.teacher is not None:
            called = name
        full_name = called if place == 1 and step.use == "distill" else f"{called}/{place}-{step.use}"
        if not any(isinstance(edit, Quantize) for edit in model.spec.edits):
            tools = replace(tools, float_student=model)
        own = replace(own, float_student=tools.float_student, title=full_name)
        trained, node = _run(step.resolved(own), model, own, nodes, full_name, parents, allow)
        model, parents = trained.model, [node]
        done.append(replace(trained, earlier=tuple(done)))
    return done[-1]


def _run(
    step: Step, model: Model, tools: Tools, nodes: Nodes, name: str, parents: Sequence[Node], allow: Collection[str]
) -> tuple[Trained, Node]:
    """One step, or its result."""

    def work(folder: Path) -> dict[str, Any]:
        result = step.run(model, replace(tools, folder=folder))
        if rank() == 0:
            save_model(replace(result.model, history=()), folder)
            if result.teacher is not None:
                save_weights(result.teacher, folder / _TEACHER)
        return {"facts": dict(result.facts), "history": [dict(entry) for entry in result.history]}

    inputs = {
        "step": fields_of(step),
        "tools": tools.key,
        **({} if parents else {"spec": model.spec.to_json(), "weights": digest(model.module)}),
    }
    node = nodes.node(
        name,
        inputs,
        work,
        version=step.version,
        parents=parents,
        scratch=step.scratch,
        collective=step.collective,
    )
    after = load_model(node.folder, allow, seed=tools.seed)
    learning = None if tools.teacher is None else tools.teacher.learning
    beside = None if learning is None else load_weights(learning(), node.folder / _TEACHER).eval()
    facts = node.result["facts"]
    history = node.result["history"]
    after = replace(after, history=[*model.history, *history], key=node.key)
    return Trained(name, step.use, after, float(facts["score"]), history, facts, beside), node


def fields_of(step: Step) -> Any:
    """Fields of a step as plain values, less those that change no result."""
    return _counted(step.model_dump(mode="python"))


def _counted(value: Any) -> Any:
    """Settings as plain values, less those that change no result."""
    if isinstance(value, Mapping):
        return {str(key): _counted(item) for key, item in value.items() if key not in _CHANGE_NO_RESULT}
    if isinstance(value, list | tuple):
        return [_counted(item) for item in value]
    return value
