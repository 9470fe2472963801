"""The files of a teacher that is made of nothing else."""

from __future__ import annotations

from attar.teachers.ensemble import Ensemble
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.resized import ResizedTeacher
from attar.teachers.teacher import Teacher


def onnx_files(teacher: Teacher) -> list[OnnxTeacher]:
    """The ONNX files that a teacher asks, behind what changes their images; empty where it asks something else, too."""
    if isinstance(teacher, OnnxTeacher):
        return [teacher]
    if isinstance(teacher, ResizedTeacher):
        return onnx_files(teacher.teacher)
    found = [onnx_files(one) for one in teacher.members] if isinstance(teacher, Ensemble) else []
    return [file for files in found for file in files] if all(found) else []
