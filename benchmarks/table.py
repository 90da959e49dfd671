"""Print the figures that have an aim, from the JSON files in `results/`, as a Markdown table."""

import json

from _hardware import RESULTS


def main() -> None:
    """Read all results and print one row a figure, then what they were measured on."""
    print("| benchmark | figure | value | aim | reached |")
    print("|---|---|---|---|---|")
    machines = set()
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        machine = result["hardware"]
        machines.add(
            f"{path.stem}: {machine['cpu']}, {machine['cores']} cores, {machine['ram_gib']} GiB, "
            f"GPU {machine['gpu'] or 'none'}, Python {machine['python']}, "
            f"PyTorch {machine['torch']}, Ray {machine['ray']}, "
            f"load at start {result.get('load_average_at_start', ['not noted'])[0]}"
        )
        name = f"{path.stem} (quick)" if result.get("quick") else path.stem
        for row in result.get("aims", []):
            value = f"{row['value']:.3g} {row['unit']}".strip()
            reached = "yes" if row["reached"] else "**no**"
            print(f"| {name} | {row['figure']} | {value} | {row['aim']} | {reached} |")
        if "accepted" in result:
            reached = "yes" if result["accepted"] else "**no**"
            print(f"| {name} | coverage and false winners | | see its docstring | {reached} |")
    print("\n" + "\n".join(f"- {machine}" for machine in sorted(machines)))


if __name__ == "__main__":
    main()
