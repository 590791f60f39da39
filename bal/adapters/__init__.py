"""Few parameters trained beside frozen ones, and ensembles of them as learners."""

__all__: list[str] = []
