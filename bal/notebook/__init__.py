"""Labels given in a notebook."""

__all__: list[str] = []
