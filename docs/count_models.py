"""Write vidclass/models/counted.csv: parameters and GMACs that `vidclass models` lists.

    python docs/count_models.py

tests/models/test_describe.py fails when a model's row is not what is counted.
"""

import csv

from vidclass.models import list_models
from vidclass.models.describe import COUNTED, counted_anew


def main() -> None:
    """Count every model that comes with vidclass and write the file."""
    with COUNTED.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["model", "parameters", "gmacs"])
        for name in list_models():
            rows.writerow([name, *counted_anew(name)])


if __name__ == "__main__":
    main()
