"""The job: the stages of a run in their order, each done once, each resumable, each also a command of its own."""

from pipeline.job.context import StageResult
from pipeline.job.job import Job

__all__ = ["Job", "StageResult"]
