"""Finalists become products: final training, conversion to int8, training for int8 where that loses too much."""

from pipeline.quantize.conversion import convert
from pipeline.quantize.evaluation import device_accuracy, evaluate
from pipeline.quantize.finalist import Doing, Quantized, quantize
from pipeline.quantize.keras_network import keras_model
from pipeline.quantize.settings import FULL, QUICK, TOLERANCE, QuantizeSettings

__all__ = [
    "FULL",
    "QUICK",
    "TOLERANCE",
    "Doing",
    "QuantizeSettings",
    "Quantized",
    "convert",
    "device_accuracy",
    "evaluate",
    "keras_model",
    "quantize",
]
