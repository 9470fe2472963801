"""The store of targets: the teacher's outputs for every view of every example, written once and read for nothing.

A store is a folder: ``manifest.json`` says whose targets they are, and ``shard-VVV-SSSSS.parquet`` holds shard S of
view V: ``id`` int64, ``view`` int32, and the teacher's outputs, in the columns that `attar.data.store.coding`
describes.

Every file is written whole or not at all, and the manifest names every shard that is written with the SHA-256 of its
bytes: a pass that was killed goes on at the first missing shard, and no altered byte goes unnoticed.
"""

from attar.data.store.coding import round_through_store as round_through_store
from attar.data.store.fidelity import Fidelity as Fidelity
from attar.data.store.labelling import label as label
from attar.data.store.merging import merge as merge
from attar.data.store.targets import Targets as Targets
