"""Labels given in a notebook: `label` shows the rows of a `bal.labeling.Desk` in a cell.

How values show themselves in a cell is written where they live: all of them print, and those with numbers are tables.
"""

from bal.notebook.widget import label

__all__ = ["label"]
