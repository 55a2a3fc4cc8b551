"""A model that runs on a device, for scripts and tests: build it, flash it, ask it.

::

    with Deployments(target, board) as deploy:
        running = deploy(Path("model.tflite"))
        assert (running.run(inputs) == running.reference(inputs)).all()
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.job import deploying
from pipeline.job.deploying import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.boards import Board
    from pipeline.device.flash import RunningDevice
    from pipeline.device.measure import Measurement
    from pipeline.device.protocol import Session
    from pipeline.graph.model import Graph
    from pipeline.settings import Target


class Deployment:
    """A model on a running device, which has proved that it is this very build.

    Args:
        made: The program.
        running: The device.
        session: With it, connected.
    """

    def __init__(self, made: deploying.Made, running: RunningDevice, session: Session) -> None:
        self.made = made
        self.session = session
        self._running = running

    @property
    def graph(self) -> Graph:
        """The model."""
        return self.made.graph

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """What the device computes.

        Args:
            inputs: [N, …] in the model's own type, as its input tensor takes them.

        Returns:
            [N, …] in the type of the model's output tensor.

        Raises:
            DeviceError: What :func:`pipeline.device.measure.measure` raises.
        """
        output = self.graph.output
        rows = [
            np.frombuffer(one, output.dtype.value).reshape(output.shape[1:]) for one in self.measure(inputs).outputs
        ]
        return np.stack(rows) if rows else np.empty((0, *output.shape[1:]), output.dtype.value)

    def reference(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """What LiteRT's reference kernels compute on the host: the device must give the same, byte for byte."""
        from pipeline.graph.reference import Reference

        with tempfile.TemporaryDirectory(prefix="danas-") as folder:
            model = Path(folder) / "model.tflite"
            model.write_bytes(self.made.content)
            return Reference(model).run(inputs)

    def measure(self, inputs: NDArray[Any]) -> Measurement:
        """Outputs, memory and cycles, each figure with its source.

        Args:
            inputs: As :meth:`run` takes them.

        Raises:
            DeviceError: ``input-size`` and those of the line protocol.
        """
        from pipeline.device.measure import measure

        return measure(
            self.session,
            inputs=[np.ascontiguousarray(one).tobytes() for one in inputs],
            expected=self.made.expected,
            statistics=self._running.statistics,
        )


class Deployments:
    """Puts models onto one device, one after the other; what is there already is not flashed again.

    Args:
        target: Which device.
        board: Its type.
    """

    def __init__(self, target: Target, board: Board) -> None:
        self.target = target
        self.board = board
        self._folder = contextlib.ExitStack()
        self._running = contextlib.ExitStack()
        self._there: tuple[str, Recipe] | None = None
        self._current: Deployment | None = None

    def __call__(self, model: Path | bytes, *, recipe: Recipe | None = None) -> Deployment:
        """The model on the device. An earlier deployment must not be used any more.

        Args:
            model: An int8 .tflite, or its bytes.
            recipe: How it is made into a program.

        Raises:
            DanasError: What reader, planner, build, flashing tool and device raise.
        """
        from pipeline.graph.reader import content_of

        content = content_of(model) if isinstance(model, Path) else model
        key = hashlib.sha256(content).hexdigest(), recipe or Recipe()
        if self._current is not None and self._there == key:
            return self._current
        self._let_go()
        folder = self._folder.enter_context(
            deploying.workplace(self.board, self.target, key[1], None),
        )
        made = deploying.make(content, self.board, into=folder, recipe=key[1])
        running = self._running.enter_context(deploying.started(made.program, self.board, self.target))
        session = self._running.enter_context(deploying.conversation(self.board, running))
        session.connect()
        session.verify(made.expected)
        session.demand_ready()
        self._current, self._there = Deployment(made, running, session), key
        return self._current

    def _let_go(self) -> None:
        self._current = self._there = None
        self._running.close()

    def close(self) -> None:
        """Let go of the device, and of what was built."""
        self._let_go()
        self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
