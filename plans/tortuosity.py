"""Impedance of symmetric cells: ion and electron paths through a composite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from devices.core.protocols import Cycler, Environment
from labctl.errors import ConfigurationError
from labctl.records.cell import Cell
from plans.building_blocks import (
    AmplitudeAmpere,
    AmplitudeVolt,
    Hertz,
    PointsPerDecade,
    Seconds,
    rest,
    spectrum,
)
from plans.executor.measurement import Measurement, run_protocol
from plans.measurement_plan import measurement_plan
from plans.protocol.protocol import Celsius, Item, Protocol, SetTemperature, Soak

# An ion path is some 100 ohm in series with slow electrodes; an electron path with carbon a few ohm and done
# at 0.1 Hz, too little for a voltage to be modulated without large currents.
_LOWEST_HERTZ = {"ion_path": 0.01, "electron_path": 0.1}


@measurement_plan
def tortuosity(
    cycler: Cycler,
    *,
    cell: Cell,
    temperatures_celsius: Annotated[tuple[Celsius, ...], Field(max_length=100)] = (),
    soak_second: Seconds = 3600.0,
    rest_second: Seconds = 600.0,
    repeats: Annotated[int, Field(ge=1, le=100)] = 1,
    frequency_max_hertz: Hertz = 200e3,
    frequency_min_hertz: Hertz | None = None,
    points_per_decade: PointsPerDecade = 10,
    amplitude_rms_volt: AmplitudeVolt = 0.01,
    amplitude_rms_ampere: AmplitudeAmpere = 1e-3,
    electronic_conductivity_ms_per_cm: Annotated[float, Field(gt=0, le=1e6)] | None = None,
    environment: Environment | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Measurement:
    """Measure the resistance of the ion paths or of the electron paths through a composite.

    The cell's kind decides how: an ion-path cell (electrolyte on both sides of the composite) is measured
    potentiostatically down to 10 mHz, an electron-path cell (metal on both sides) galvanostatically down to
    0.1 Hz. The composite should be uncharged, so that nothing passes from rail to rail. `labctl analyze` fits
    a transmission line and, near 25 degrees Celsius, gives the tortuosity factor.

    Args:
        cycler: the potentiostat.
        cell: the cell record, of kind ion_path or electron_path.
        temperatures_celsius: temperatures in order (degrees Celsius); none: as it is.
        soak_second: open circuit at each temperature (s).
        rest_second: open circuit before each spectrum (s).
        repeats: spectra at each temperature.
        frequency_max_hertz: highest frequency (Hz).
        frequency_min_hertz: lowest frequency (Hz); None takes 10 mHz or 0.1 Hz, by the cell's kind.
        points_per_decade: frequencies per decade.
        amplitude_rms_volt: amplitude for an ion path (V rms).
        amplitude_rms_ampere: amplitude for an electron path (A rms).
        electronic_conductivity_ms_per_cm: of the composite (mS/cm), if an electron-path cell gave it; the
            analysis of an ion path corrects for it.
        environment: what sets and records temperature and stack pressure.
        metadata: further keys of the start document.

    Returns:
        The measurement; `RE(tortuosity(...))` runs it and gives the uid.

    References:
        Siroma et al., J. Power Sources 316 (2016) 215; Kaiser et al., J. Power Sources 396 (2018) 175.

    Example:
        >>> RE(tortuosity(cycler, cell=cell, rest_second=60, frequency_min_hertz=0.1))
    """
    if cell.kind not in _LOWEST_HERTZ:
        raise ConfigurationError(f"cell {cell.id}", "kind", cell.kind, " or ".join(_LOWEST_HERTZ))
    lowest = _LOWEST_HERTZ[cell.kind] if frequency_min_hertz is None else frequency_min_hertz
    ampere = amplitude_rms_ampere if cell.kind == "electron_path" else None

    def spectra(tag: str) -> tuple[Item, ...]:
        one = spectrum(
            tag=tag,
            frequency_max_hertz=frequency_max_hertz,
            frequency_min_hertz=lowest,
            points_per_decade=points_per_decade,
            amplitude_rms_volt=amplitude_rms_volt,
            amplitude_rms_ampere=ampere,
        )
        return (rest(rest_second, tag), one) * repeats

    items = list[Item]()
    for celsius in temperatures_celsius:
        tag = f"{celsius:g} degrees Celsius"
        items += (
            SetTemperature(temperature_celsius=celsius, tag=tag),
            Soak(until_time_second=soak_second, tag=tag),
        )
        items += spectra(tag)
    protocol = Protocol(name="tortuosity", items=tuple(items or spectra("as it is")))
    return run_protocol(cycler, protocol, cell=cell, environment=environment, metadata=metadata)
