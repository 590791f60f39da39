"""What can go wrong with a record beyond the operating system's own errors."""


class CorruptRecordError(ValueError):
    """A file of a record does not hold what was once written to it."""


class RecordLockedError(RuntimeError):
    """Another writer has the record open."""
