"""A folder of records seen in a browser while it grows: `bal watch runs`.

logs     one record, of which only what was appended is read again
cells    the cells of a sweep, by their files
folder   all of a root
curves   what a study says before it is finished, in the words of `bal.evaluation`
picks    which rows, and why
people   campaigns: who answered, and how fast
reliability  whether the model that asked foresaw the answers
times    seconds of each part

Nothing is written or locked under the root: a run that is watched is the same byte by byte.
"""

from bal.watching.curves import curve, rows
from bal.watching.folder import Folder
from bal.watching.people import people
from bal.watching.picks import picks
from bal.watching.times import times

__all__ = ["Folder", "curve", "people", "picks", "rows", "times"]
