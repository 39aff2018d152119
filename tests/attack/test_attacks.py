"""Attacks on real processes against the simulated bench; `python -m tests.attack` prints them as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attack.attacks import ATTACKS, WITHIN_SECOND

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_is_survived(name: str, tmp_path: Path) -> None:
    seen = ATTACKS[name](tmp_path)
    assert seen.wrong == ()
    assert seen.opened_second is None or seen.opened_second <= WITHIN_SECOND
