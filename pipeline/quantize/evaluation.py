"""What one of our .tflite files is worth on labelled images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.datasets import View
from pipeline.search.backend import captured


def device_accuracy(path: Path, view: View) -> float:
    """Accuracy 0..1 of one of our .tflite files on a view by LiteRT's reference kernels: a device's, to the bit."""
    from pipeline.graph.inputs import quantize_images
    from pipeline.graph.reader import read
    from pipeline.graph.reference import Reference

    outputs = Reference(path).run(quantize_images(np.asarray(view.images), read(path).input))
    return float(np.mean(outputs.reshape(len(view), -1).argmax(axis=1) == view.labels))


def evaluate(path: Path, view: View) -> float:
    """Accuracy 0..1 of one of our .tflite files on a view, see :func:`quick_accuracy`."""
    return quick_accuracy(path.read_bytes(), view)


def quick_accuracy(flatbuffer: bytes, view: View) -> float:
    """Accuracy 0..1 of one of our models on a view, by LiteRT's optimised kernels.

    They are many times faster than the reference kernels, which :func:`device_accuracy` runs, and differ from them by
    a few steps of the output, so that an image on the edge may fall to the other side: good enough to choose by.
    """
    from ai_edge_litert.interpreter import Interpreter

    with captured():
        interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
        interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    hits = 0
    for image, label in zip(view.images, view.labels, strict=True):
        interpreter.set_tensor(source["index"], (image[None].astype(np.int16) - 128).astype(np.int8))
        interpreter.invoke()
        hits += int(interpreter.get_tensor(target["index"])[0].argmax() == label)
    return hits / len(view)
