"""What every panel of the window offers to the tools around it: exports, reading, linking, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg


@runtime_checkable
class Panel(Protocol):
    """One panel; it is a QWidget besides (`panel.grab()`, `panel.isVisible()` work).

    Attributes:
        name: Short name, as in `--panel nyquist`; letters, digits and "-".
        title: What a person reads on the panel's frame, e.g. "Voltage and current".
    """

    name: str
    title: str

    def plot_items(self) -> Sequence[pg.PlotItem]:
        """The plots from top to bottom, left to right; empty for a panel of text (alarms).

        An axis of theirs (`item.getAxis("bottom")`) has `quantity` (e.g. "Voltage"), `unit` (plain, e.g. "V")
        and `prefix`; a plot over elapsed time has an axis whose `unit` is "s" and whose `is_time` is true.
        """
        ...

    def visible_data(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """The run's own values behind what is in view, undecimated, as columns of one length.

        Keys carry the unit (`voltage_volt`, `real_impedance_ohm`); what several curves hold stands in one
        table with the column that tells them apart (`cycle_count`, `spectrum_count`). Empty without data.
        """
        ...
