"""The job: the stages of a run in their order, each done once, each resumable, each also a command of its own."""

from pipeline.job.job import Job, StageResult

__all__ = ["Job", "StageResult"]
