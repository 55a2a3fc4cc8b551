"""The search's state: an Optuna study in the run directory.

Each trial is one proposal: its parameters are the genotype's genes, its attributes carry the whole Candidate. A trial
that a killed process left unfinished is marked failed, and its proposal is made again.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import EnvironmentProblem, UsageError, printable
from pipeline.genotype import GENES, Genotype
from pipeline.search.candidate import Candidate

_NAME = "search"
_CANDIDATE, _PROPOSAL, _SECONDS, _SETTINGS = "candidate", "proposal", "seconds", "settings"


class Study:
    """A journal of evaluated candidates.

    Args:
        path: The SQLite file; made if there is none.
        settings: What the candidates depend on; a file written under others is refused.
        directions: ``maximize`` or ``minimize`` for each value of a finished trial.

    Raises:
        UsageError: ``other-search``: the file belongs to a search with other settings.
        EnvironmentProblem: ``study-file``: the file cannot be read or written, or holds something else.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], directions: Sequence[str] = ("maximize",)) -> None:
        import optuna
        from sqlalchemy.engine import URL

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._path = path
        self._open: Any = None
        with self._storing(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path.parent.mkdir(parents=True, exist_ok=True)
            url = URL.create("sqlite", database=str(path.resolve())).render_as_string()
            self._storage = optuna.storages.RDBStorage(url)
            self._study = optuna.create_study(
                study_name=_NAME, storage=self._storage, directions=list(directions), load_if_exists=True
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
                f"{printable(path)} is of a search with other settings",
                why=f"changed: {', '.join(printable(key) for key in changed)}",
                next="Resume with the settings of then, or start a new run.",
            )
        with self._storing():
            self._fail_unfinished()

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """What the database cannot do, or should not hold, becomes an error of the environment."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (
            SQLAlchemyError,
            self._optuna.exceptions.StorageInternalError,
            RuntimeError,
            OSError,
            ValueError,
            KeyError,
        ) as error:
            raise EnvironmentProblem(
                "study-file",
                f"cannot use {printable(self._path)}",
                why=printable(error),
                next="Free some space and resume the run, or give a new run directory if the file is damaged.",
            ) from error

    def _fail_unfinished(self) -> None:
        states = self._optuna.trial.TrialState
        for trial in self._study.get_trials(deepcopy=False, states=(states.RUNNING, states.WAITING)):
            if trial.state == states.WAITING:
                # Only a trial under way may be ended; asking for the next one takes the waiting ones in turn.
                self._study.tell(self._study.ask(), state=states.FAIL)
            else:
                self._study.tell(trial.number, state=states.FAIL)

    def _complete(self) -> list[Any]:
        states = self._optuna.trial.TrialState
        with self._storing():
            return list(self._study.get_trials(deepcopy=False, states=(states.COMPLETE,)))

    def history(self) -> list[Candidate]:
        """Everything evaluated, by proposal number."""
        with self._storing():
            found = [Candidate.from_dict(json.loads(trial.user_attrs[_CANDIDATE])) for trial in self._complete()]
        return sorted(found, key=lambda candidate: candidate.proposal)

    def seconds(self) -> float:
        """Time that the completed evaluations took, over all the processes that worked on the study."""
        with self._storing():
            return sum(float(trial.user_attrs[_SECONDS]) for trial in self._complete())

    def begin(self, proposal: int, genotype: Genotype) -> None:
        """Open a trial."""
        distribution = self._optuna.distributions.CategoricalDistribution
        genes = genotype.genes
        distributions = {name: distribution(GENES[name]) for name in genes}
        with self._storing():
            self._study.enqueue_trial(genes, user_attrs={_PROPOSAL: proposal})
            self._open = self._study.ask(distributions)

    def finish(self, candidate: Candidate, *, seconds: float, values: Sequence[float] | None = None) -> None:
        """Close the open trial with its candidate and a value for each direction; without ``values``, its fitness."""
        with self._storing():
            self._open.set_user_attr(_CANDIDATE, json.dumps(candidate.as_dict()))
            self._open.set_user_attr(_SECONDS, seconds)
            self._study.tell(self._open, [candidate.fitness] if values is None else list(values))
            self._open = None

    def close(self) -> None:
        """Mark a trial that is still open as failed and let go of the file."""
        if self._open is not None:
            # Where even that cannot be written, the next process marks it.
            with suppress(EnvironmentProblem), self._storing():
                self._study.tell(self._open, state=self._optuna.trial.TrialState.FAIL, skip_if_finished=True)
            self._open = None
        self._storage.remove_session()
        self._storage.engine.dispose()
