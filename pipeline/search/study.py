"""The search's state: an Optuna study, in the run directory or in a storage that several workers share.

Each trial is one proposal: its parameters are the genotype's genes, its attributes carry the whole Candidate, and a
constraint says how far beyond the limits it is; optuna-dashboard opens it. A trial that a killed process left
unfinished is marked failed, and its proposal is made again.

Workers need no lock: a worker enters its proposal as a running trial and looks at what the others have entered. Of two
equal ones the later gives way. A running trial whose worker gives no sign of life for :data:`GRACE` seconds is failed.
"""

from __future__ import annotations

import json
import threading
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import DanasError, EnvironmentProblem, UsageError, printable
from pipeline.genotype import GENES, Genotype
from pipeline.search.candidate import Candidate
from pipeline.search.health import Event

#: Name of a study where nothing else is said.
NAME = "search"
#: Seconds between two signs of life, and without one until a worker counts as dead.
PULSE, GRACE = 15, 120
_CANDIDATE, _PROPOSAL, _SECONDS, _SETTINGS = "candidate", "proposal", "seconds", "settings"
_GENOTYPE, _WORKER = "genotype", "worker"
_EVENT = "event:"
#: Seconds that a worker waits while another one writes to a file.
_PATIENCE = 60.0
_MOST_VIOLATION = 1e9


class Study:
    """A journal of evaluated candidates.

    Args:
        path: The SQLite file; made if there is none.
        settings: What the candidates depend on; a study of others is refused.
        directions: ``maximize`` or ``minimize`` for each value of a finished trial.
        storage: A database's URL (SQLAlchemy's), in place of the file.
        name: The study's name in it.
        shared: Other processes work on the study now: what they have under way is left alone. May be set.

    Raises:
        UsageError: ``other-search``: the study belongs to a search with other settings; ``bad-storage``: no URL.
        EnvironmentProblem: ``study-file``: the file cannot be read or written, or holds something else;
            ``storage-unreachable``: the same of a storage.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        directions: Sequence[str] = ("maximize",),
        *,
        storage: str | None = None,
        name: str = NAME,
        shared: bool = False,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self.shared = shared
        self._worker = uuid.uuid4().hex
        self._open: Any = None
        self._pulse: _Pulse | None = None
        self._read: dict[int, Candidate] = {}
        self._url, self._title = _located(path, storage)
        self._stored = storage is not None
        with self._storing(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if storage is None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._storage = optuna.storages.RDBStorage(
                self._url,
                engine_kwargs={"connect_args": {"timeout": _PATIENCE}} if self._url.startswith("sqlite") else None,
                heartbeat_interval=PULSE,
                grace_period=GRACE,
            )
            self._study = optuna.create_study(
                study_name=name, storage=self._storage, directions=list(directions), load_if_exists=True
            )
        wanted = json.loads(json.dumps(settings))
        with self._storing():
            found = self._study.user_attrs.get(_SETTINGS)
            if found is None:
                self._study.set_user_attr(_SETTINGS, wanted)
                found = wanted
        if found != wanted:
            changed = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
            self.close()
            raise UsageError(
                "other-search",
                f"{self._title} is of a search with other settings",
                why=f"changed: {', '.join(printable(key) for key in changed)}",
                next="Give the study another name with --study, or take the settings of then."
                if self._stored
                else "Resume with the settings of then, or start a new run.",
            )
        self.tidy()

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """What the database cannot do, or should not hold, becomes an error of the environment."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except DanasError:
            raise
        except (
            SQLAlchemyError,
            self._optuna.exceptions.StorageInternalError,
            ImportError,  # the database's driver
            RuntimeError,
            OSError,
            ValueError,
            KeyError,
        ) as error:
            if self._stored:
                raise EnvironmentProblem(
                    "storage-unreachable",
                    f"cannot use the storage {self._title}",
                    why=printable(_without_password(str(error), self._url)),
                    next="See that the database runs, that it can be reached from here, and that its driver is "
                    "installed; the search then goes on where it was.",
                ) from error
            raise EnvironmentProblem(
                "study-file",
                f"cannot use {self._title}",
                why=printable(error),
                next="Free some space and resume the run, or give a new run directory if the file is damaged.",
            ) from error

    def tidy(self) -> None:
        """Mark as failed what nobody works on any more: of a study of one worker all that is unfinished."""
        states = self._optuna.trial.TrialState
        with self._storing():
            if self.shared:
                with warnings.catch_warnings():
                    # Optuna calls it experimental; its release is pinned.
                    warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                    self._optuna.storages.fail_stale_trials(self._study)
                return
            for trial in self._study.get_trials(deepcopy=False, states=(states.RUNNING, states.WAITING)):
                if trial.state == states.WAITING:
                    # Only a trial under way may be ended; asking for the next one takes the waiting ones in turn.
                    self._study.tell(self._study.ask(), state=states.FAIL)
                else:
                    self._study.tell(trial.number, state=states.FAIL)

    def _trials(self, state: str) -> list[Any]:
        states = (getattr(self._optuna.trial.TrialState, state),)
        with self._storing():
            return list(self._study.get_trials(deepcopy=False, states=states))

    def history(self) -> list[Candidate]:
        """Everything evaluated, by proposal number."""
        for trial in self._trials("COMPLETE"):
            if trial.number not in self._read:
                with self._storing():
                    self._read[trial.number] = Candidate.from_dict(json.loads(trial.user_attrs[_CANDIDATE]))
        return sorted(self._read.values(), key=lambda candidate: candidate.proposal)

    def pending(self) -> dict[int, Genotype]:
        """What other workers are evaluating, by proposal number."""
        if not self.shared:
            return {}
        self.tidy()
        with self._storing():
            return {
                trial.user_attrs[_PROPOSAL]: Genotype.parse(trial.user_attrs[_GENOTYPE])
                for trial in self._trials("RUNNING")
                if trial.user_attrs.get(_WORKER) != self._worker
            }

    def record(self, event: Event) -> None:
        """Keep an event; one of the same kind at the same time is overwritten."""
        with self._storing():
            self._study.set_user_attr(f"{_EVENT}{event.at:06d}:{event.kind.value}", event.as_dict())

    def events(self) -> tuple[Event, ...]:
        """What was kept, oldest first."""
        with self._storing():
            kept = sorted((key, value) for key, value in self._study.user_attrs.items() if key.startswith(_EVENT))
            return tuple(Event.from_dict(value) for _, value in kept)

    def seconds(self) -> float:
        """Time that the completed evaluations took, over all the processes that worked on the study."""
        with self._storing():
            return sum(float(trial.user_attrs[_SECONDS]) for trial in self._trials("COMPLETE"))

    def took(self) -> dict[int, float]:
        """Seconds that each completed evaluation took, by proposal number; the first of a supernet trains it."""
        with self._storing():
            return {
                int(trial.user_attrs[_PROPOSAL]): float(trial.user_attrs[_SECONDS])
                for trial in self._trials("COMPLETE")
            }

    def begin(self, proposal: int, genotype: Genotype, *, violation: float = 0.0) -> bool:
        """Open a trial.

        Args:
            proposal: Its number in the search.
            genotype: What will be evaluated.
            violation: How far beyond the limits it is, see :meth:`pipeline.search.feasibility.Feasibility.violation`.

        Returns:
            False where another worker has the same genotype or the same number: propose anew.
        """
        distribution = self._optuna.distributions.CategoricalDistribution
        genes = genotype.genes
        with self._storing():
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    state=self._optuna.trial.TrialState.RUNNING,
                    params=genes,
                    distributions={name: distribution(GENES[name]) for name in genes},
                    user_attrs={_PROPOSAL: proposal, _GENOTYPE: genotype.id, _WORKER: self._worker},
                    constraints={"limits": min(violation, _MOST_VIOLATION)},
                )
            )
            running = self._trials("RUNNING")
            self._open = next(trial for trial in running if trial.user_attrs.get(_WORKER) == self._worker)
            if not self.shared:
                return True
            earlier = [
                trial
                for trial in (*running, *self._trials("COMPLETE"))
                if trial.number < self._open.number
                and (trial.user_attrs[_GENOTYPE] == genotype.id or trial.user_attrs[_PROPOSAL] == proposal)
            ]
            if earlier:
                self._fail()
                return False
            self._pulse = _Pulse(self._storage, self._open._trial_id)
        return True

    def finish(self, candidate: Candidate, *, seconds: float, values: Sequence[float] | None = None) -> None:
        """Close the open trial with its candidate and a value for each direction; without ``values``, its fitness."""
        self._rest()
        with self._storing():
            trial = self._open._trial_id
            self._storage.set_trial_user_attr(trial, _CANDIDATE, json.dumps(candidate.as_dict()))
            self._storage.set_trial_user_attr(trial, _SECONDS, seconds)
            self._study.tell(self._open.number, [candidate.fitness] if values is None else list(values))
            self._open = None

    def _fail(self) -> None:
        self._study.tell(self._open.number, state=self._optuna.trial.TrialState.FAIL, skip_if_finished=True)
        self._open = None

    def give_up(self) -> None:
        """Mark the open trial, if there is one, as failed: its proposal will be made again."""
        self._rest()
        if self._open is not None:
            with self._storing():
                self._fail()

    def _rest(self) -> None:
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None

    def close(self) -> None:
        """Mark a trial that is still open as failed and let go of the storage."""
        self._rest()
        if self._open is not None:
            # Where even that cannot be written, the next process marks it.
            with suppress(EnvironmentProblem), self._storing():
                self._fail()
            self._open = None
        self._storage.remove_session()
        self._storage.engine.dispose()


class _Pulse:
    """Signs of life of a running trial, until it is stopped."""

    def __init__(self, storage: Any, trial: int) -> None:
        self._storage = storage
        self._trial = trial
        self._over = threading.Event()
        storage.record_heartbeat(trial)
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._over.wait(PULSE):
            # A storage that cannot be reached for a while is no reason to end: the next sign may come through.
            with suppress(Exception):
                self._storage.record_heartbeat(self._trial)
        self._storage.remove_session()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def _located(path: Path, storage: str | None) -> tuple[str, str]:
    """The database's URL, and what to call it in messages, where passwords are left out."""
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if storage is None:
        return URL.create("sqlite", database=str(path.resolve())).render_as_string(), printable(path)
    try:
        return storage, printable(make_url(storage).render_as_string(hide_password=True))
    except (ArgumentError, ValueError) as error:
        raise UsageError(
            "bad-storage",
            "--storage is no URL of a database",
            why="It names a kind of database, and where it is.",
            next="For example --storage sqlite:////data/study.db, or --storage postgresql://user@host/name.",
        ) from error


def _without_password(text: str, url: str) -> str:
    from sqlalchemy.engine import make_url

    password = make_url(url).password
    return text.replace(str(password), "***") if password else text
