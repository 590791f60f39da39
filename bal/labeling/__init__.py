"""People give labels, at a page or in a notebook: the desk that hands out items and keeps every answer."""

__all__: list[str] = []
