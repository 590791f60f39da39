"""Answers items until it is killed, and says after each what it has just given: run by the test of kills."""

import sys

from desks import LABELING, TRUTH

from bal.labeling import Desk, Item
from bal.records import open_record

if __name__ == "__main__":
    with open_record(sys.argv[1], "label", {}) as record, Desk(LABELING._replace(batch_size=2), record) as desk:
        print("open", flush=True)
        undone = None
        while True:
            item = desk.next("ada")
            if not isinstance(item, Item):
                desk.settle(1.0)
                continue
            desk.answer("ada", item, TRUTH[item.row], seconds=0.25)
            print("answered", item.row, flush=True)
            if item.row % 5 == 0 and item.row != undone:
                undone = desk.undo("ada").row
                print("withdrawn", undone, flush=True)
            elif item.row % 7 == 0:
                desk.correct("ada", item.row, "red")
                print("corrected", item.row, flush=True)
