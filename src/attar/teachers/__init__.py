"""Frozen sources of targets."""

from attar.teachers.as_teacher import as_teacher as as_teacher
from attar.teachers.ensemble import Ensemble as Ensemble
from attar.teachers.estimator import EstimatorTeacher as EstimatorTeacher
from attar.teachers.estimator import RegressorTeacher as RegressorTeacher
from attar.teachers.labels import LabelsTeacher as LabelsTeacher
from attar.teachers.onnx import OnnxTeacher as OnnxTeacher
from attar.teachers.selected import SelectedEnsemble as SelectedEnsemble
from attar.teachers.selection import Selection as Selection
from attar.teachers.selection import select as select
from attar.teachers.teacher import NetworkTeacher as NetworkTeacher
from attar.teachers.teacher import Teacher as Teacher
