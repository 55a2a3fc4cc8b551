#!/usr/bin/env python3
"""Write what CMSIS-NN's own buffer-size functions return, as a table that the tests check our formulas against.

    pip install --no-deps executorch && python benchmarks/cmsis_nn_buffers.py

The functions come from the Python module that the ``executorch`` wheel carries (or from CMSIS-NN's own ``cmsis_nn``);
nothing else of it is imported, so that its dependencies need not be there. The table is
tests/estimate/cmsis_nn_buffers.json: the arguments of each call and the bytes for each kind of processor.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

TABLE = Path(__file__).parent.parent / "tests" / "estimate" / "cmsis_nn_buffers.json"
KINDS = ("SCALAR", "DSP", "MVE")
CASES = 150


def functions() -> tuple[Any, str] | None:
    """The module with the buffer-size functions and what it came with; None where it is not installed."""
    if importlib.util.find_spec("cmsis_nn") is not None:
        return importlib.import_module("cmsis_nn"), "cmsis_nn"
    found = importlib.util.find_spec("executorch")
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        for path in sorted((Path(place) / "backends" / "cortex_m" / "library" / "_cmsis_nn").glob("cmsis_nn.*")):
            spec = importlib.util.spec_from_file_location("cmsis_nn", path)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module, f"executorch {importlib.metadata.version('executorch')}"
    return None


def convolutions(rng: np.random.Generator, *, depthwise: bool) -> Iterator[dict[str, list[int]]]:
    """Arguments of convolutions: squares, rows and single pixels, with and without padding, stride and dilation."""
    for number in range(CASES):
        row, point = number % 3 == 1, number % 3 == 2
        window = [1, 1] if point else [1 if row else int(rng.integers(1, 6)), int(rng.integers(1, 8))]
        size = [1 if row else int(rng.integers(window[0], 20)), int(rng.integers(window[1], 40))]
        stride = [int(value) for value in rng.integers(1, 4, 2)]
        dilation = [1, 1] if rng.random() < 0.8 else [int(value) for value in rng.integers(1, 3, 2)]
        channels = int(rng.choice([1, 2, 3, 4, 8, 13, 16, 40, 64, 200]))
        spans = [(kernel - 1) * step + 1 for kernel, step in zip(window, dilation, strict=True)]
        if same := bool(rng.random() < 0.6):
            output = [-(-length // step) for length, step in zip(size, stride, strict=True)]
        else:
            size = [max(length, span) for length, span in zip(size, spans, strict=True)]
            output = [(length - span) // step + 1 for length, span, step in zip(size, spans, stride, strict=True)]
        wanted = [(out - 1) * step + span for out, step, span in zip(output, stride, spans, strict=True)]
        padding = [max(0, want - have) // 2 if same else 0 for want, have in zip(wanted, size, strict=True)]
        outputs = channels * int(rng.choice([1, 1, 1, 4])) if depthwise else int(rng.integers(1, 200))
        weights = [1, *window, outputs] if depthwise else [outputs, *window, channels]
        yield {
            "input_nhwc": [1, *size, channels],
            "filter_nhwc": weights,
            "output_nhwc": [1, *output, outputs],
            "padding_hw": padding,
            "stride_hw": stride,
            "dilation_hw": dilation,
        }


def table(module: Any) -> dict[str, list[Any]]:
    """For each function the arguments of its calls, and what they return for :data:`KINDS`."""
    rng = np.random.default_rng(0)

    def sizes(name: str, arguments: dict[str, Any]) -> list[int]:
        kinds = [getattr(module.Backend, kind) for kind in KINDS]
        return [getattr(module, f"{name}_buffer_size")(kind, module.DataType.A8W8, **arguments) for kind in kinds]

    found: dict[str, list[Any]] = {}
    for name, depthwise in (("convolve_wrapper", False), ("depthwise_conv_wrapper", True)):
        for case in convolutions(rng, depthwise=depthwise):
            more = {"ch_mult": case["output_nhwc"][3] // case["input_nhwc"][3]} if depthwise else {}
            found.setdefault(name, []).append([*case.values(), sizes(name, {**case, **more})])
    for channels in (1, 3, 8, 64, 100, 256):
        arguments = {"dim_dst_width": 5, "ch_src": channels}
        found.setdefault("avgpool", []).append([channels, sizes("avgpool", arguments)])
        filters = {"filter_nhwc": [77, 1, 1, channels]}
        found.setdefault("fully_connected", []).append([channels, sizes("fully_connected", filters)])
    return found


def main() -> int:
    """Write the table."""
    found = functions()
    if found is None:
        print("neither cmsis_nn nor executorch is installed: pip install --no-deps executorch", file=sys.stderr)
        return 1
    module, origin = found
    values = {"origin": f"benchmarks/cmsis_nn_buffers.py, {origin}", "kinds": list(KINDS), **table(module)}
    lines = [
        f'"{name}": [\n' + ",\n".join(json.dumps(one) for one in rows) + "\n]"
        for name, rows in values.items()
        if name not in ("origin", "kinds")
    ]
    head = [f'"{name}": {json.dumps(values[name])}' for name in ("origin", "kinds")]
    TABLE.write_text("{\n" + ",\n".join([*head, *lines]) + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
