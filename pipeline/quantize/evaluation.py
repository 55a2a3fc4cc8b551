"""What one of our .tflite files is worth on labelled images.

Accuracy is the share of images that are right; ``balanced``, it is the mean over the classes of that share, which is
what counts where one class is rare (see :mod:`pipeline.datasets.quality`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import View
from pipeline.search.backend import captured
from pipeline.search.fitness import Scores, scores


def device_accuracy(path: Path, view: View, *, balanced: bool = False) -> float:
    """Accuracy 0..1 of one of our .tflite files on a view by LiteRT's reference kernels: a device's, to the bit."""
    from pipeline.graph.inputs import quantize_images
    from pipeline.graph.reader import read
    from pipeline.graph.reference import Reference

    outputs = Reference(path).run(quantize_images(np.asarray(view.images), read(path).input))
    return _accuracy(outputs.reshape(len(view), -1), view, balanced)


def evaluate(path: Path, view: View, *, balanced: bool = False) -> float:
    """Accuracy 0..1 of one of our .tflite files on a view, see :func:`quick_accuracy`."""
    return quick_accuracy(path.read_bytes(), view, balanced=balanced)


def quick_accuracy(flatbuffer: bytes, view: View, *, balanced: bool = False) -> float:
    """Accuracy 0..1 of one of our models on a view, by LiteRT's optimised kernels.

    They are many times faster than the reference kernels, which :func:`device_accuracy` runs, and differ from them by
    a few steps of the output, so that an image on the edge may fall to the other side: good enough to choose by.
    """
    from ai_edge_litert.interpreter import Interpreter

    with captured():
        interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
        interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for image in view.images:
        interpreter.set_tensor(source["index"], (image[None].astype(np.int16) - 128).astype(np.int8))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0].copy())
    return _accuracy(np.stack(outputs), view, balanced)


def _accuracy(outputs: NDArray[Any], view: View, balanced: bool) -> float:
    return counted(scores(outputs.argmax(axis=1), view.labels, outputs.shape[1]), balanced)


def counted(found: Scores, balanced: bool) -> float:
    """The accuracy that counts."""
    return (found.by_class if balanced else found).accuracy
