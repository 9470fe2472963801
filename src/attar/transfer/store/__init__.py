"""The store of targets: what a teacher said about every view of every example, written once and read for nothing.

A store is a folder: ``manifest.json`` says whose targets they are, and ``part-VVV-PPPPP.parquet`` holds part P of view
V: ``id`` int64, ``view`` int32, and what the teacher said, in the columns that `attar.transfer.store.coding` describes.

Every file is written whole or not at all, and the manifest names every part that is written with the SHA-256 of its
bytes: a pass that was killed goes on at the first missing part, and no altered byte goes unnoticed.
"""

from attar.transfer.store.coding import round_through_store as round_through_store
from attar.transfer.store.fidelity import Fidelity as Fidelity
from attar.transfer.store.labelling import label as label
from attar.transfer.store.merging import merge as merge
from attar.transfer.store.targets import Targets as Targets
