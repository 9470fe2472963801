"""How much memory do a folder of a hundred thousand images, and a training on it, take?

    python benchmarks/large_folder.py

A process writes the images, PNG files in one folder for each class. Another one reads them with attar.load_data, as
an engineer would, and trains a small student for an epoch; a third reads them again, from the cache that the first one
made; a fourth does nothing but import what that needs. Their memory is looked at as in large_table.py.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from large_table import END, WATCH, ran
from result import RESULTS, write

AIM_BYTES = 2_000_000_000
SIDE, CLASSES = 64, 10

WHAT = (
    "A folder of the given number of PNG files of 64 x 64 pixels in color, in ten folders of classes, each a smooth "
    "pattern whose brightness on one of ten stripes says which. 'read' is attar.load_data of the folder for the first "
    "time, which decodes all images into a file, 'train' attar.fit of a convolutional network of 8 and 16 channels, "
    "one epoch of batches of 256, 'test' its accuracy on the test images; 'again' is attar.load_data in another "
    "process, and one sum over all pixels. 'resident' is the largest resident memory of the process until the end of "
    "it (Linux's VmHWM), 'anonymous' the largest of RssAnon, looked at every 20 ms: what no file stands behind, which "
    "a system cannot take back. Bytes and seconds, of one thread for what is trained; the machine may do other work "
    "beside it. 'pixels' are the bytes of all decoded images, and 'files' those of the PNG files."
)

IMAGES = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
folder, count, side, classes = Path(sys.argv[1]), *map(int, sys.argv[2:5])
random = np.random.default_rng(0)
size = 0
for name in range(classes):
    (folder / f"class {name}").mkdir(parents=True)
for number in range(count):
    label = number % classes
    small = random.integers(0, 160, (8, 8, 3), np.uint8)
    pixels = np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BILINEAR)).copy()
    pixels[label * side // classes : (label + 1) * side // classes] += 60
    path = folder / f"class {label}" / f"{number:06}.png"
    Image.fromarray(pixels).save(path, compress_level=1)
    size += path.stat().st_size
print(size)
"""

TRAIN = """
data = attar.load_data(sys.argv[1])
stage("read")
torch.manual_seed(0)
spec = Spec("attar.network.architectures:convnet", {"classes": len(data.classes), "channels": 3, "widths": [8, 16]})
objective = attar.Objective({"hard": attar.Term(loss=attar.HardLabels())})
settings = attar.Training(epochs=1, batch_size=256, optimizer="adam", learning_rate=0.003)
student = fit(spec.build(), objective, attar.TransferSet(data.train), settings=settings).model
stage("train")
right = 0
with torch.no_grad():
    for start in range(0, len(data.test), 1 << 9):
        some = slice(start, start + (1 << 9))
        right += int((student(data.test.floats(some)).argmax(1) == data.test.labels[some]).sum())
stage("test")
found["rows"] = {role: len(split) for role, split in data.splits().items()}
found["pixels"] = sum(split.inputs.numel() for split in data.splits().values())
found["accuracy"] = right / len(data.test)
"""

AGAIN = """
data = attar.load_data(sys.argv[1])
stage("read")
total = sum(int(block.sum()) for split in data.splits().values() for block in split.inputs.split(1 << 9))
stage("again")
"""


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=RESULTS / "large_folder.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        os.environ["XDG_CACHE_HOME"] = str(Path(place) / "cache")
        size = ran(IMAGES, folder, asked.images, SIDE, CLASSES)
        found = ran(WATCH + TRAIN + END, folder)
        again = ran(WATCH + AGAIN + END, folder)
    nothing = ran(WATCH + END)
    peak = max(found["test"]["resident"], again["again"]["resident"])
    claims = [
        {
            "claim": f"a folder of {asked.images:,} images of {SIDE} x {SIDE} pixels in color is read, and a student "
            f"trained on it, with at most {AIM_BYTES // 10**9} GB of resident memory",
            "aim": AIM_BYTES,
            "reached": peak,
            "met": peak <= AIM_BYTES,
        },
    ]
    summary = {
        "files": size,
        "pixels": found["pixels"],
        "import": nothing["import"],
        **{name: found[name] for name in ("read", "train", "test")},
        "read again": again["read"],
        "again": again["again"],
        "accuracy": found["accuracy"],
    }
    path = write(
        asked.out,
        what=WHAT,
        seed=0,
        packages=["pillow"],
        settings={"images": asked.images, "side": SIDE, "classes": CLASSES, "epochs": 1, "batch": 256, "threads": 1},
        claims=claims,
        summary=summary,
        raw={"load_average": os.getloadavg()[0], "found": found, "again": again, "nothing": nothing},
    )
    print(json.dumps(summary, indent=1))
    print(f"claims met: {sum(claim['met'] for claim in claims)} of {len(claims)}; written to {path}")


if __name__ == "__main__":
    main()
