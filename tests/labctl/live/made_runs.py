"""Documents of runs with any streams, row by row: what the simulated bench would take long to make."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labctl.schema import ENVIRONMENT, IMPEDANCE, STEPS, TIMESERIES, ColumnSpec

Document = tuple[str, dict[str, Any]]
Complexes = npt.NDArray[np.complex128]
CELL = {
    "id": "lic-ncm-1",
    "coating": {"material": "Li3InCl6", "mass_percent": 3.0, "method": "mechanofusion"},
    "composite": {"mass_mg": 12.0},
    "active_material": {"mass_fraction": 0.7, "specific_capacity_mah_per_g": 200.0},
}
MASS_KG = 8.4e-6
STREAMS: dict[str, Sequence[ColumnSpec]] = {
    "timeseries": TIMESERIES,
    "impedance": IMPEDANCE,
    "environment": ENVIRONMENT,
    "steps": STEPS,
}
_BLANK = {"float": float("nan"), "integer": 0, "string": ""}


class MadeRun:
    """Documents so far are in `documents`; every row that is added gets a page, or is part of one."""

    def __init__(
        self,
        plan_name: str = "made",
        protocol: Sequence[Mapping[str, Any]] = (),
        *,
        environment: bool = False,
        began: float = 1_800_000_000.0,
        **start: Any,
    ) -> None:
        self.uid = str(uuid.uuid4())
        self.wall = began
        self.steps_written = 0
        self._rows = dict.fromkeys((*STREAMS, "alarms"), 0)
        devices = {"cycler": {}} | ({"environment": {}} if environment else {})
        items = [dict(item) for item in protocol]
        self.documents: list[Document] = [
            (
                "start",
                {
                    "uid": self.uid,
                    "time": began,
                    "plan_name": plan_name,
                    "station": "sim",
                    "cell": CELL,
                    "protocol": {"name": plan_name, "items": items} if items else {},
                    "devices": devices,
                    "limits": {},
                    **start,
                },
            )
        ]
        for name, specs in STREAMS.items():
            keys = {spec.name: spec.data_key("made") for spec in specs}
            self.documents.append(
                (
                    "descriptor",
                    {"uid": f"{self.uid}-{name}", "run_start": self.uid, "name": name, "data_keys": keys},
                )
            )

    def page(self, stream: str, **columns: Any) -> None:
        """Add rows; what is not given is NaN, 0 or ""; single values hold for all rows."""
        count = max(np.size(column) for column in columns.values())
        data = {
            spec.name: np.broadcast_to(columns.get(spec.name, _BLANK[spec.kind]), count).tolist()
            for spec in STREAMS[stream]
        }
        first = self._rows[stream]
        self._rows[stream] += count
        self.documents.append(
            (
                "event_page",
                {
                    "descriptor": f"{self.uid}-{stream}",
                    "seq_num": list(range(first + 1, first + count + 1)),
                    "time": [self.wall] * count,
                    "uid": [f"{self.uid[:8]}-{stream}-{n}" for n in range(first, first + count)],
                    "data": data,
                    "timestamps": {key: [self.wall] * count for key in data},
                    "filled": {},
                },
            )
        )

    def step(
        self,
        kind: str,
        time: np.ndarray,
        voltage: np.ndarray,
        current: float,
        *,
        cycle: int = 0,
        end_reason: str = "time",
        began: float | None = None,
    ) -> None:
        """Samples of a step and its row of `steps`; times count from the start of the run."""
        self.steps_written += 1
        start = float(time[0]) if began is None else began
        self.page(
            "timeseries",
            test_time_second=time,
            step_time_second=time - start,
            voltage_volt=voltage,
            current_ampere=current,
            step_count=self.steps_written,
            cycle_count=cycle,
            step_type=kind,
        )
        moved = abs(current) * float(time[-1] - start) / 3600
        self.page(
            "steps",
            step_count=self.steps_written,
            protocol_step=str(self.steps_written),
            step_type=kind,
            cycle_count=cycle,
            start_test_time_second=start,
            end_test_time_second=float(time[-1]),
            end_reason=end_reason,
            step_charging_capacity_ah=moved if current > 0 else 0.0,
            step_discharging_capacity_ah=moved if current < 0 else 0.0,
            end_voltage_volt=float(voltage[-1]),
            end_current_ampere=current,
        )

    def spectrum(
        self, number: int, begin_second: float, frequency: np.ndarray, impedance: Complexes, cycle: int = 0
    ) -> None:
        """One spectrum, at a point a second."""
        self.steps_written += 1
        self.page(
            "impedance",
            test_time_second=begin_second + np.arange(len(frequency)),
            frequency_hertz=frequency,
            real_impedance_ohm=impedance.real,
            imaginary_impedance_ohm=impedance.imag,
            spectrum_count=number,
            step_count=self.steps_written,
            cycle_count=cycle,
            amplitude_unit="V",
        )

    def alarm(self, test_time_second: float, kind: str, action: str = "circuit opened") -> None:
        """One alarm."""
        if not self._rows["alarms"]:
            numbers = {key: {"dtype": "number"} for key in ("test_time_second", "value", "limit")}
            keys = numbers | {key: {"dtype": "string"} for key in ("kind", "source", "action")}
            self.documents.append(
                ("descriptor", {"uid": f"{self.uid}-alarms", "name": "alarms", "data_keys": keys})
            )
        self._rows["alarms"] += 1
        data = {"test_time_second": test_time_second, "kind": kind, "source": "cycler", "action": action}
        data |= {"value": 4.4, "limit": 4.3}
        event = {
            "descriptor": f"{self.uid}-alarms",
            "seq_num": self._rows["alarms"],
            "time": self.wall,
            "data": data,
        }
        stamps = dict.fromkeys(data, self.wall)
        event |= {"uid": str(uuid.uuid4()), "timestamps": stamps, "filled": {}}
        self.documents.append(("event", event))

    def stop(self, exit_status: str = "success", reason: str = "") -> list[Document]:
        """End it; all documents."""
        stop = {
            "uid": str(uuid.uuid4()),
            "run_start": self.uid,
            "time": self.wall,
            "exit_status": exit_status,
        }
        self.documents.append(("stop", stop | {"reason": reason, "num_events": dict(self._rows)}))
        return self.documents


def impedance_of(frequency: np.ndarray, charge_transfer_ohm: float = 60.0) -> Complexes:
    """A pellet's spectrum in outline: electrolyte, one flat arc, diffusion."""
    jw = 2j * np.pi * frequency
    arc = charge_transfer_ohm / (1 + (jw * 5e-3) ** 0.85)
    return 50.0 + 1e-7 * jw + arc + 20.0 / np.sqrt(1 + jw * 40.0)


def cycling(cycles: int, *, rows: int = 60, fade: float = 0.999) -> MadeRun:
    """Charges and discharges of 1.6 mAh at C/5, with a little less every cycle."""
    mark = {"kind": "mark"}
    current = {"kind": "constant_current"}
    run = MadeRun("cycle_life", [{"kind": "loop", "repeat": cycles, "body": [mark, current, current]}])
    now = 1.0
    for cycle in range(1, cycles + 1):
        share = np.linspace(0, 1, rows)
        lasted = 1.6e-3 * fade ** (cycle - 1) * 3600 / 0.32e-3
        for kind, ampere, volt in (
            ("cc_charge", 0.32e-3, 3.0 + 0.65 * share),
            ("cc_discharge", -0.32e-3, 3.6 - 0.9 * share - 0.3 * share**20),
        ):
            run.step(kind, now + lasted * share, volt, ampere, cycle=cycle, end_reason="voltage_above")
            now += lasted + 1.0
    return run
