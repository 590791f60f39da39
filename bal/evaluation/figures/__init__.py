"""One function a question; each takes plain arrays and returns a figure of matplotlib, to be written by `save`.

curve_bands     how does it learn, and how sure is that, point by point and as a whole curve
differences     where does a strategy differ from random
penalties       who beats whom, how often
reliability     are the confidences right
overlaps        do the strategies ask for the same rows
picked_images   what was asked for, as pictures
picked_map      what was asked for, on a map
time_split      where do the seconds go (`seconds_of` a frame of records)
rank_diagram    who comes first over many data sets, and who cannot be told apart
"""

from bal.evaluation.figures.calibration import reliability
from bal.evaluation.figures.curves import curve_bands, differences
from bal.evaluation.figures.matrices import overlaps, penalties
from bal.evaluation.figures.picks import picked_images, picked_map
from bal.evaluation.figures.ranks import rank_diagram
from bal.evaluation.figures.times import seconds_of, time_split
from bal.evaluation.plots import save

__all__ = [
    "curve_bands",
    "differences",
    "overlaps",
    "penalties",
    "picked_images",
    "picked_map",
    "rank_diagram",
    "reliability",
    "save",
    "seconds_of",
    "time_split",
]
