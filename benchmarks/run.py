"""Run all benchmarks, one after the other, and write what they found to RESULTS.md.

    python benchmarks/run.py
    python benchmarks/run.py limit memory --rounds 7
    python benchmarks/run.py --quick

Each benchmark is a process of its own and a command of its own. The page is written anew after
each, so one that fails costs the others nothing. It names the machine by what bears on the numbers
and holds no host names and no paths. What the page says of benchmarks that do not run now stays,
if it was written on such a machine with the same versions. With ``--quick`` the page is printed
instead.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from side_by_side import Claim, machine, markdown

HERE = Path(__file__).resolve().parent
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "text_grid": (),
    "boosting": (),
    "limit": (),
    "overhead": (),
    "memory": (),
    "clusters": (),
    "server": (),
    "record": (),
    "export": (),
    "scale_simulation": ("--measure", "--validate"),
}
"""The programs, with the options that they run with here."""


def main(argv: list[str] | None = None) -> int:
    """Run, write the page, and return 1 when something went wrong."""
    options = _parser().parse_args(argv)
    output = options.output or (None if options.quick else HERE / "RESULTS.md")
    sections = {} if output is None else kept(output, _about(quick=options.quick))
    wrong = []
    for name in options.names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        result, status = measured(name, options)
        sections[name] = "It did not finish." if result is None else _section(result)
        if result is None or status:
            wrong.append(name)
        if output is not None:
            output.write_text(page(sections, quick=options.quick), encoding="utf-8")
    if output is None:
        print(page(sections, quick=options.quick), end="")
    for name in wrong:
        print(f"{name} failed", file=sys.stderr)
    return 1 if wrong else 0


def kept(output: Path, about: str) -> dict[str, str]:
    """Return what a page says of each benchmark, if it was written with the same words about it."""
    text = output.read_text(encoding="utf-8") if output.is_file() else ""
    head, *sections = re.split(r"^## ", text, flags=re.M)
    if head != f"# Measured\n\n{about}\n\n":
        return {}
    found = (section.partition("\n\n") for section in sections)
    return {name: body.strip() for name, _, body in found if name in BENCHMARKS}


def measured(name: str, options: argparse.Namespace) -> tuple[dict[str, Any] | None, int]:
    """Return what a benchmark printed as JSON, if it did, and its exit status."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", *BENCHMARKS[name]]
    command += ["--quick"] * options.quick + ["--check"] * options.check
    if options.rounds is not None:
        command += ["--rounds", str(options.rounds)]
    if options.workers is not None:
        command += ["--workers", str(options.workers)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        return None, ended.returncode
    return found, ended.returncode


def page(sections: Mapping[str, str], *, quick: bool) -> str:
    """Return the page."""
    parts = ["# Measured", _about(quick=quick)]
    parts += [f"## {name}\n\n{sections[name]}" for name in BENCHMARKS if name in sections]
    return "\n\n".join(parts) + "\n"


def _about(*, quick: bool) -> str:
    here = machine()
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items())
    sizes = (
        "Tiny sizes: these numbers show that the programs run, nothing else."
        if quick
        else "Contenders take turns; medians over the rounds of one run. Written by `make bench`."
    )
    return (
        f"{sizes}\n\n{here['cores']} cores of {here['processor']}, {here['memory']} memory, "
        f"{here['system']}; Python {here['python']}, {versions}."
    )


def _section(result: dict[str, Any]) -> str:
    claims = [Claim(**claim).row for claim in result["claims"]]
    parts = [f"{result['about'][:1].upper()}{result['about'][1:]}."]
    parts.append(markdown([("claim", "target", "measured", "result"), *claims]))
    if result["rows"]:
        parts.append(markdown([tuple(row) for row in result["rows"]]))
    parts += [f"```\n{note}\n```" if "\n" in note else f"- {note}" for note in result["notes"]]
    parts += [f"**Wrong: {problem}**" for problem in result["problems"]]
    return "\n\n".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Run all benchmarks and write RESULTS.md.",
        epilog='examples:\n  make bench\n  make bench ARGS="limit memory --rounds 7"\n'
        "  make bench ARGS=--quick",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", choices=[*BENCHMARKS, []], metavar="name", help=", ".join(BENCHMARKS))
    add("--rounds", type=int, help="measured rounds of each (default: its own)")
    add("--workers", type=int, help="processes (default: all cores)")
    add("--quick", action="store_true", help="tiny sizes, to see that all run")
    add("--check", action="store_true", help="fail when a claim is not kept")
    add("--output", type=Path, help="the page (default: RESULTS.md beside this program)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
