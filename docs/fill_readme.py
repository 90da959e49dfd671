"""Fill the figures in README.md from reports/*/ and benchmarks/results/*.json.

    python docs/fill_readme.py

Whatever stands between `<!-- results:NAME -->` and `<!-- end -->` is replaced. tests/test_readme.py
fails when README.md is not what this script makes.
"""

import json
import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(readme: str, root: Path = ROOT) -> str:
    """Return the text of the README with every block filled from the files below ``root``."""

    def block(match: re.Match[str]) -> str:
        name = match[2]
        told = benchmarks(root) if name == "benchmarks" else study(root / "reports" / name)
        return f"{match[1]}{told}{match[3]}"

    return BLOCK.sub(block, readme)


def study(folder: Path) -> str:
    """Return verdict, table and time of a report, or where they will come from."""
    if not (folder / "verdict.json").is_file():
        return f"*(No report in `reports/{folder.name}/` yet.)*\n"
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    scores = pd.read_csv(folder / "results.csv", na_values=["–"])
    lines = [f"> **{verdict['verdict']}**", ""]
    picture = f"reports/{folder.name}/figures/scores.png"
    if (folder / "figures" / "scores.png").is_file():
        lines += [f"![Test score of every arm and floor with 95 % intervals]({picture})", ""]
    if verdict["partial"]:
        lines += ["This study has not ended: figures may still change.", ""]
    lines += [
        "| arm or floor | test score | 95 % interval | value of time | parameters | GMACs a clip |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [_row(row) for row in scores.to_dict("records")]
    lines += ["", f"{_ran_with(folder)} [Report](reports/{folder.name}/report.md)."]
    return "\n".join(lines) + "\n"


def _row(row: dict[str, object]) -> str:
    name = f"{row['name']} (floor)" if row["is_floor"] else f"**{row['name']}**"
    low, high = _number(row["low"]), _number(row["high"])
    time, gmacs = _number(row.get("time_value")), _number(row.get("gmacs"))
    parameters = _number(row.get("parameters"))
    cells = [
        name.replace("_", " "),
        f"{100 * float(str(row['primary'])):.1f} %",
        "not estimable" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}",
        "" if time is None else "0 by definition" if time == 0 else f"{100 * time:+.1f} points",
        "" if parameters is None else f"{parameters:,.0f}",
        "" if gmacs is None else f"{gmacs:.3g}",
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: object) -> float | None:
    number = pd.to_numeric(pd.Series([value]), errors="coerce").iloc[0]
    return None if pd.isna(number) else float(number)


def _ran_with(folder: Path) -> str:
    """Return the line of the protocol that tells machine and wall time."""
    text = (folder / "report.md").read_text(encoding="utf-8")
    found = re.search(r"^\| Ran with \| (.+?) \|$", text, re.MULTILINE)
    return f"Ran with: {found[1]}." if found else ""


def benchmarks(root: Path) -> str:
    """Return one row a figure that has an aim; quick runs are left out."""
    rows = []
    for path in sorted((root / "benchmarks" / "results").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if result.get("quick"):
            continue
        for aim in result.get("aims", []):
            value = "not measured" if aim["value"] is None else f"{aim['value']:.3g}"
            reached = {True: "yes", False: "no", None: ""}[aim["reached"]]
            unit = f" {aim['unit']}" if aim["unit"] and aim["value"] is not None else ""
            told = f"| {path.stem} | {aim['figure']} | {value}{unit} | {aim['aim']} | {reached} |"
            rows.append(told)
    if not rows:
        return "*(No full run of the benchmarks yet.)*\n"
    head = "| benchmark | figure | measured | aim | reached |\n|---|---|---:|---:|---|\n"
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    page = ROOT / "README.md"
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"written: {page.name}")
