"""Texts with their classes as an archive for a recipe: what Debian's packages are, and the section that they are in.

Where Debian or Ubuntu is installed: apt-cache dumpavail > packages.txt; python descriptions.py
It writes descriptions.npz, which descriptions.toml reads. A sentence is cut into words, and the words that occur most
are the vocabulary; all others are one token. Packages made of one source are in one split, as their descriptions are
alike.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LENGTH, VOCABULARY, SECTIONS, SENTENCES = 16, 4000, 12, 12000


def packages(text: str) -> Iterator[tuple[str, str, str]]:
    """Description, section and source of each package."""
    for entry in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if line[:1].isalpha() and ": " in line)
        if {"Description", "Section", "Package"} <= fields.keys():
            source = fields.get("Source", fields["Package"]).split(" ")[0]
            yield fields["Description"].lower(), fields["Section"].split("/")[-1], source


def main(path: Path) -> None:
    """Write the archive."""
    found = {text: (section, source) for text, section, source in packages(path.read_text(encoding="utf-8"))}
    sections = [name for name, _ in Counter(section for section, _ in found.values()).most_common(SECTIONS)]
    rows = [(text, section, source) for text, (section, source) in found.items() if section in sections]
    rows = sorted(rows, key=lambda row: zlib.crc32(row[0].encode()))[:SENTENCES]
    split = [zlib.crc32(b"split " + source.encode()) % 10 for _, _, source in rows]
    split = ["test" if part < 2 else "validation" if part == 2 else "train" for part in split]
    sentences = [re.findall(r"[a-z0-9+#]+", text)[:LENGTH] or ["?"] for text, _, _ in rows]
    seen = Counter(word for one, part in zip(sentences, split, strict=True) if part == "train" for word in one)
    words = ["(padding)", "(other)", *(word for word, _ in seen.most_common(VOCABULARY - 2))]
    number = {word: place for place, word in enumerate(words)}
    ids, mask = np.zeros((len(rows), LENGTH), int), np.zeros((len(rows), LENGTH), int)
    for row, one in enumerate(sentences):
        ids[row, : len(one)] = [number.get(word, 1) for word in one]
        mask[row, : len(one)] = 1
    y = [section for _, section, _ in rows]
    np.savez("descriptions.npz", ids=ids, mask=mask, words=words, y=y, split=split)


if __name__ == "__main__" and (given := Path("packages.txt")).exists():
    main(given)
