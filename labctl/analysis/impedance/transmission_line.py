"""The composite as a transmission line: an ionic and an electronic rail, and the interface between them.

R_i and R_e are the resistances (ohm) of the whole rails, zeta the impedance of the whole interface and
nu = sqrt((R_i + R_e) / zeta). By what makes contact at the two sides of the layer its impedance is

    ions on one side, electrons on the other (an electrode)
        Z = R_i R_e / (R_i + R_e) (1 + 2 / (nu sinh nu)) + (R_i^2 + R_e^2) / (R_i + R_e) coth(nu) / nu
    ions on both sides (an ion-path cell: electrolyte | composite | electrolyte)
        Z = R_i R_e / (R_i + R_e) + R_i^2 / (R_i + R_e) tanh(nu / 2) / (nu / 2)
    electrons on both sides (an electron-path cell: metal | composite | metal)
        Z = R_i R_e / (R_i + R_e) + R_e^2 / (R_i + R_e) tanh(nu / 2) / (nu / 2)

(Siroma et al., J. Power Sources 316 (2016) 215.) The interface is 1 / zeta = Q (j w)^g + 1 / R_ct, or Q alone
where nothing passes it.

An ion-path cell does not tell R_i and R_e apart: its spectrum fixes A = R_i^2 / (R_i + R_e), about R_i - R_e;
what is constant adds to the series resistance. R_i follows from A with an R_e known from elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np

from labctl.analysis.impedance.complex_fit import Complexes, Floats, Parameter

Contacts = Literal["ion_ion", "electron_electron", "ion_electron"]


def rails(contacts: Contacts, ionic_ohm: float, electronic_ohm: float, interface_ohm: Complexes) -> Complexes:
    """Impedance (ohm) of the layer.

    Args:
        contacts: what makes contact at the two sides.
        ionic_ohm: R_i > 0.
        electronic_ohm: R_e >= 0.
        interface_ohm: zeta of the whole interface at each frequency, shape (n,).
    """
    nu = np.sqrt((ionic_ohm + electronic_ohm) / interface_ohm)
    return _layer(contacts, ionic_ohm, electronic_ohm, nu)[0]


def ionic_from_amplitude(amplitude_ohm: float, electronic_ohm: float) -> float:
    """R_i (ohm) from A = R_i^2 / (R_i + R_e) of an ion-path cell and R_e."""
    return 0.5 * (amplitude_ohm + sqrt(amplitude_ohm * (amplitude_ohm + 4.0 * electronic_ohm)))


@dataclass(frozen=True)
class TransmissionLine:
    """The layer as an element of a circuit.

    `electronic_ohm` and `ionic_ohm` are given where they are not fitted; `faradaic` adds R_ct to the
    interface.
    """

    contacts: Contacts
    faradaic: bool = False
    electronic_ohm: float | None = None
    ionic_ohm: float | None = None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Rails that are fitted, interface capacitance Q and exponent, perhaps R_ct."""
        rails_fitted = [
            name
            for name, given in (("ionic_ohm", self.ionic_ohm), ("electronic_ohm", self.electronic_ohm))
            if given is None
        ]
        interface = (Parameter("admittance_s_second_power"), Parameter("exponent", "exponent"))
        transfer = (Parameter("charge_transfer_ohm"),) if self.faradaic else ()
        return (*(Parameter(name) for name in rails_fitted), *interface, *transfer)

    def response(self, log_jw: Complexes, values: Floats) -> tuple[Complexes, list[Complexes]]:
        """Impedance and derivatives, as `labctl.analysis.impedance.complex_fit.Element` asks for."""
        free = list(values)
        ionic = free.pop(0) if self.ionic_ohm is None else self.ionic_ohm
        electronic = free.pop(0) if self.electronic_ohm is None else self.electronic_ohm
        capacitive = free[0] * np.exp(free[1] * log_jw)
        passed = 1.0 / free[2] if self.faradaic else 0.0
        admittance = capacitive + passed
        nu = np.sqrt((ionic + electronic) * admittance)
        ohm, by_nu, by_ionic, by_electronic = _layer(self.contacts, ionic, electronic, nu)
        nu_by_log_admittance = by_nu * nu / 2
        through_sum = nu_by_log_admittance / (ionic + electronic)
        slopes = list[Complexes]()
        if self.ionic_ohm is None:
            slopes.append(ionic * (by_ionic + through_sum))
        if self.electronic_ohm is None:
            slopes.append(electronic * (by_electronic + through_sum))
        by_capacitive = nu_by_log_admittance * capacitive / admittance
        slopes += [by_capacitive, by_capacitive * log_jw]
        if self.faradaic:
            slopes.append(-nu_by_log_admittance * passed / admittance)
        return ohm, slopes


def _layer(
    contacts: Contacts, ionic: float, electronic: float, nu: Complexes
) -> tuple[Complexes, Complexes, Complexes, Complexes]:
    """Z, and its derivatives by nu, R_i and R_e, each with the others held."""
    if contacts == "ion_electron":
        return _electrode(ionic, electronic, nu)
    if contacts == "ion_ion":
        return _symmetric(ionic, electronic, nu)
    ohm, by_nu, by_through, by_other = _symmetric(electronic, ionic, nu)
    return ohm, by_nu, by_other, by_through


def _symmetric(
    through: float, other: float, nu: Complexes
) -> tuple[Complexes, Complexes, Complexes, Complexes]:
    """Both contacts on the rail `through`."""
    total = through + other
    half = nu / 2
    tanh = np.tanh(half)
    shape = tanh / half
    shape_slope = ((1 - tanh * tanh) - shape) / nu
    share = through * through / total
    ohm = through * other / total + share * shape
    by_through = (other / total) ** 2 + (through * (through + 2 * other) / total**2) * shape
    by_other = (through / total) ** 2 * (1 - shape)
    return ohm, share * shape_slope, by_through, by_other


def _electrode(
    ionic: float, electronic: float, nu: Complexes
) -> tuple[Complexes, Complexes, Complexes, Complexes]:
    total = ionic + electronic
    decay = np.exp(-nu)
    squared = decay * decay
    coth = (1 + squared) / (1 - squared)
    cosech = 2 * decay / (1 - squared)
    middle = 1 + 2 * cosech / nu
    end = coth / nu
    parallel = ionic * electronic / total
    squares = (ionic**2 + electronic**2) / total
    by_nu = -parallel * 2 * cosech / nu * (1 / nu + coth) - squares * (cosech**2 + end) / nu
    by_ionic = (electronic / total) ** 2 * middle + (2 * ionic / total - squares / total) * end
    by_electronic = (ionic / total) ** 2 * middle + (2 * electronic / total - squares / total) * end
    return parallel * middle + squares * end, by_nu, by_ionic, by_electronic
