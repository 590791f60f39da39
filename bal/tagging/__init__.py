"""Labels for every token of a sentence: taggers, their uncertainty, and budgets counted in tokens."""

__all__: list[str] = []
