"""What the TensorFlow Lite Micro interpreter needs: its arena, its code, its stack.

The arena has two ends. Its head holds activations and the scratch buffers of kernels, placed by TFLM's greedy planner,
which is repeated here exactly (``planner``, ``head``, ``scratch``). Its tail holds what lives as long as the
interpreter: a few structures a tensor and an operator, and each kernel's data, two words a channel for convolutions
among them (``structures``, ``tail``). The model's file is in flash as it is (``flatbuffer``), and what the program
takes beside it was measured (``programs``).
"""

from pipeline.estimate.tflm.arena import Arena, Kernels, arena, plan
from pipeline.estimate.tflm.flatbuffer import predicted_bytes
from pipeline.estimate.tflm.programs import COSTS, STACK_RESERVE, Costs, costs, estimate, static_of, toml
from pipeline.estimate.tflm.scratch import Extension, extension, extension_of
from pipeline.estimate.tflm.structures import CORTEX_M, HOST, Sizes

__all__ = [
    "CORTEX_M",
    "COSTS",
    "HOST",
    "STACK_RESERVE",
    "Arena",
    "Costs",
    "Extension",
    "Kernels",
    "Sizes",
    "arena",
    "costs",
    "estimate",
    "extension",
    "extension_of",
    "plan",
    "predicted_bytes",
    "static_of",
    "toml",
]
