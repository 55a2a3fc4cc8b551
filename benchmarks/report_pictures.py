"""The documentation's pictures of a report: a small search on drawn shapes, its page, and what Chromium shows of it.

    python benchmarks/report_pictures.py [--run RUN] [--into docs] [--evaluations 24]

Makes ``report-light.png`` and ``report-dark.png``. RUN is made where it does not exist yet, which takes some minutes;
no image in it was ever taken of anything.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

import chromium
import numpy as np
from PIL import Image, ImageDraw

from pipeline.__main__ import run

_SIDE = 96
#: Images of a class in each split.
_SPLITS = {"train": 300, "validation": 60, "test": 60}
_COLOURS = 128


def main() -> None:
    """Search if need be, then take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent.parent / "docs")
    parser.add_argument("--evaluations", type=int, default=24)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="danas-pictures-") as scratch:
        folder = options.run or Path(scratch) / "run"
        if not (folder / "report.json").is_file():
            images = Path(scratch) / "shapes"
            draw(images)
            search = ["search-and-flash", "--board", "nucleo_f746zg", "--emulate", "--data", f"folder:{images}"]
            search += ["--ram", "32k", "--latency", "0.06s", "--evaluations", str(options.evaluations)]
            if run([*search, "--run", str(folder)]):
                sys.exit("the run has failed")
        if run(["report", str(folder), "--with-images", "--quiet"]):
            sys.exit("there is no report")
        with chromium.Chromium() as browser:
            for theme in ("light", "dark"):
                browser.open(folder / "report.html", theme=theme)
                picture = Image.open(io.BytesIO(browser.picture()))
                picture.convert("RGB").quantize(_COLOURS).save(options.into / f"report-{theme}.png", optimize=True)
                print(f"report-{theme}.png", *picture.size)


def draw(folder: Path, seed: int = 7) -> None:
    """Discs, rings, squares and triangles on noise, some of them faint: classes that a small network may confuse."""
    rng = np.random.default_rng(seed)
    for split, count in _SPLITS.items():
        for name in ("disc", "ring", "square", "triangle"):
            into = folder / split / name
            into.mkdir(parents=True)
            for number in range(count):
                _shape(name, rng).save(into / f"{number}.png")


def _shape(name: str, rng: np.random.Generator) -> Image.Image:
    base = rng.integers(40, 150, 3)
    noise = rng.normal(0, rng.uniform(8, 26), (_SIDE, _SIDE, 3))
    picture = Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))
    canvas = ImageDraw.Draw(picture)
    x, y = rng.uniform(30, 66, 2)
    size = rng.uniform(9, 26)
    shift = rng.integers(30, 110, 3) * (1 if base.mean() < 95 else -1)
    colour = tuple(int(value) for value in np.clip(base + shift, 0, 255))
    box = (x - size, y - size, x + size, y + size)
    if name == "disc":
        canvas.ellipse(box, fill=colour)
    elif name == "ring":
        canvas.ellipse(box, outline=colour, width=max(2, int(size / rng.uniform(2, 4))))
    elif name == "square":
        canvas.regular_polygon((x, y, size * 1.2), 4, rotation=int(rng.integers(0, 90)), fill=colour)
    else:
        canvas.regular_polygon((x, y, size * 1.2), 3, rotation=int(rng.integers(0, 120)), fill=colour)
    return picture


if __name__ == "__main__":
    main()
