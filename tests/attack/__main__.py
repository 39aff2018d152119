"""`python -m tests.attack [WORD ...]`: the attacks whose names have one of the words, as a table."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.attack.attacks import ATTACKS, WITHIN_SECOND, Seen


def main(words: list[str]) -> int:
    """Run the attacks, print a row each; 1 when one went wrong."""
    chosen = {name: one for name, one in ATTACKS.items() if not words or any(word in name for word in words)}
    _write("| attack | circuit open after (s) | seen |\n|---|---|---|")
    wrong = 0
    for name, one in chosen.items():
        with tempfile.TemporaryDirectory(prefix="labctl-attack-") as directory:
            try:
                seen = one(Path(directory))
            except Exception as error:  # noqa: BLE001  # whatever it was, the other rows are wanted
                seen = Seen(None, (f"{type(error).__name__}: {error}",))
        wrong += bool(seen.wrong)
        opened = "-" if seen.opened_second is None else f"{seen.opened_second:.2f}"
        said = "; ".join(seen.wrong) if seen.wrong else f"good ({seen.note})"
        _write(f"| {name} | {opened} | {said} |")
    _write(f"\n{len(chosen) - wrong} of {len(chosen)} hold; allowed are {WITHIN_SECOND:g} s from the cause")
    return 1 if wrong else 0


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
