"""What lowered calls need of the kernels that come in parts, and the header that tells the compiler."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline import resources
from pipeline.estimate.features import Features, block_sizes, depthwise_features
from pipeline.firmware import filters
from pipeline.firmware.lowering import Call, Params, Value
from pipeline.firmware.lowering.requantization import Form

_INT8 = (-128, 127)


def features(calls: Iterable[Call]) -> Features:
    """What all of them need together."""
    made = Features()
    for call in calls:
        made |= of_call(call)
    return made


def of_call(call: Call) -> Features:
    """What one call needs; nothing, where its kernel comes whole."""
    made = Features()
    blocks = 0
    for params in reversed(call.params):  # A convolution behind a depthwise one says how large blocks are.
        if params.type == "Conv2dParams":
            blocks = _blocks(params, call.params[0])
            made |= _convolution(params, blocks, spreads=len(call.params) == 1)
        elif params.type == "DepthwiseConv2dParams":
            made |= _depthwise(params, blocks, as_pairs=len(call.params) > 1)
    return made


def header(made: Features) -> str:
    """The text of model_features.h."""
    environment = filters.environment(resources.firmware_templates() / "model")
    return environment.get_template("model_features.h.j2").render(features=made)


def _blocks(params: Params, first: Params) -> int:
    return block_sizes(_number(_structure(first, "window")["output_width"]), _number(_fields(params)["block"]))


def _convolution(params: Params, blocks: int, *, spreads: bool) -> Features:
    filled = _structure(params, "filters")
    made = Features(spread=blocks if spreads else 0, clamped=_clamped(filled))
    form = filled["form"]
    if form == Form.PLAIN.enumerator:
        return made | Features(plain=1)
    return made | (Features(relu=blocks) if form == Form.RELU.enumerator else Features(linear=blocks))


def _depthwise(params: Params, blocks: int, *, as_pairs: bool) -> Features:
    given, window = _fields(params), _structure(params, "window")
    clamped = Features(depthwise_clamped=_clamped(given))
    if given["form"] == Form.PLAIN.enumerator:
        return Features(depthwise_plain=1)
    kernel = (_number(window["kernel_height"]), _number(window["kernel_width"]))
    stride = _number(window["stride_width"])
    linear = given["form"] == Form.LINEAR.enumerator
    return clamped | depthwise_features(kernel, stride, linear=linear, as_pairs=as_pairs, blocks=blocks)


def _clamped(given: dict[str, Value]) -> int:
    return int((given["output_min"], given["output_max"]) != _INT8)


def _fields(params: Params) -> dict[str, Value]:
    return {field.name: field.value for field in params.fields}


def _structure(params: Params, name: str) -> dict[str, Value]:
    value = _fields(params)[name]
    if not isinstance(value, tuple):
        raise TypeError(f"{params.type}.{name} is no structure")
    return {field.name: field.value for field in value}


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value
