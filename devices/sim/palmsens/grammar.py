"""MethodSCRIPT commands: what arguments each takes, which literals it refuses, what exists but is not here.

Capability bits: vendor's tables for the commands `CM` (script) and `CC` (communication). Emulated is an
EmStat4 HR without licences for the voltammetric techniques.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.sim.palmsens import emstat
from devices.sim.palmsens.package_text import Number

# Argument kinds: out (variable or array element), var (variable only), in (literal, variable or element),
# read (variable or element), literal, type, array (its name), text.
SIGNATURES: dict[str, tuple[str, ...]] = {
    "store_var": ("out", "literal", "type"),
    "copy_var": ("read", "out"),
    "add_var": ("out", "in"),
    "sub_var": ("out", "in"),
    "mul_var": ("out", "in"),
    "div_var": ("out", "in"),
    "alter_vartype": ("out", "type"),
    "array_get": ("array", "in", "out"),
    "array_set": ("array", "in", "in"),
    "wait": ("in",),
    "set_int": ("in",),
    "await_int": (),
    "timer_start": (),
    "timer_get": ("out",),
    "abort": (),
    "breakloop": (),
    "pck_start": (),
    "pck_add": ("read",),
    "pck_end": (),
    "send_string": ("text",),
    "set_script_output": ("in",),
    "set_pgstat_chan": ("in",),
    "set_pgstat_mode": ("in",),
    "set_max_bandwidth": ("in",),
    "set_acquisition_frac_autoadjust": ("in",),
    "set_range": ("type", "in"),
    "set_range_minmax": ("type", "in", "in"),
    "set_autoranging": ("type", "in", "in"),
    "set_e": ("in",),
    "set_i": ("in",),
    "cell_on": (),
    "cell_off": (),
    "meas": ("in", "out", "type"),
    "meas_loop_ocp": ("var", "in", "in"),
    "meas_loop_cp": ("var", "var", "in", "in", "in"),
    "meas_loop_ca": ("var", "var", "in", "in", "in"),
    # frequency, Z', Z", amplitude (rms), first and last frequency, how many, DC potential or current
    "meas_loop_eis": ("var", "var", "var", "in", "in", "in", "in", "in"),
    "meas_loop_geis": ("var", "var", "var", "in", "in", "in", "in", "in"),
}
TECHNIQUE_IDS = {
    "meas_loop_ca": "0007", "meas_loop_cp": "000A", "meas_loop_ocp": "000B", "meas_loop_eis": "000D",
    "meas_loop_geis": "000E",
}  # fmt: skip
GALVANOSTATIC_LOOPS = frozenset({"meas_loop_cp", "meas_loop_geis"})
SWEEPS = frozenset({"meas_loop_eis", "meas_loop_geis"})
SWEEP_OPTIONS = {"eis_acdc": ("ch", "ci", "cj", "ck"), "time": ("eb",)}
"""Optional arguments of sweeps: types of the variables in their brackets (E rms, E, I rms, I; time)."""
OPERATORS = ("<", "<=", ">", ">=", "==")
BLOCK_COMMANDS = ("if", "elseif", "else", "endif", "loop", "endloop", "on_finished:")
DECLARATIONS = ("var", "array")

REFUSALS: dict[tuple[str, int], Callable[[Number], int | None]] = {
    ("wait", 0): emstat.refuse_negative,
    ("set_int", 0): emstat.refuse_interval,
    ("set_script_output", 0): emstat.refuse_output_mode,
    ("set_pgstat_chan", 0): emstat.refuse_channel,
    ("set_pgstat_mode", 0): emstat.refuse_mode,
    ("set_max_bandwidth", 0): emstat.refuse_bandwidth,
    ("set_acquisition_frac_autoadjust", 0): emstat.refuse_mains,
    ("set_e", 0): emstat.refuse_potential,
    ("set_i", 0): emstat.refuse_current,
    ("meas", 0): emstat.refuse_duration,
    ("meas_loop_ocp", 1): emstat.refuse_interval,
    ("meas_loop_ocp", 2): emstat.refuse_duration,
    ("meas_loop_cp", 2): emstat.refuse_current,
    ("meas_loop_cp", 3): emstat.refuse_interval,
    ("meas_loop_cp", 4): emstat.refuse_duration,
    ("meas_loop_ca", 2): emstat.refuse_potential,
    ("meas_loop_ca", 3): emstat.refuse_interval,
    ("meas_loop_ca", 4): emstat.refuse_duration,
    ("meas_loop_eis", 3): emstat.refuse_potential_amplitude,
    ("meas_loop_eis", 4): emstat.refuse_frequency,
    ("meas_loop_eis", 5): emstat.refuse_frequency,
    ("meas_loop_eis", 6): emstat.refuse_points,
    ("meas_loop_eis", 7): emstat.refuse_potential,
    ("meas_loop_geis", 3): emstat.refuse_current_amplitude,
    ("meas_loop_geis", 4): emstat.refuse_frequency,
    ("meas_loop_geis", 5): emstat.refuse_frequency,
    ("meas_loop_geis", 6): emstat.refuse_points,
    ("meas_loop_geis", 7): emstat.refuse_current,
}
"""Checks of single arguments by command and position: literals at upload, variables at run time."""

NOT_IN_MEASUREMENT = {  # error by command inside a measurement loop
    **dict.fromkeys(
        ("wait", "meas", "set_int", "await_int", "cell_on", "cell_off", "set_pgstat_mode", "set_pgstat_chan"),
        0x401A,
    ),
    "set_e": 0x4032,
    "set_i": 0x4033,
}
SET_RANGE_IN_MEASUREMENT = {"da": 0x4032, "db": 0x4033}

NOT_LICENSED = frozenset(
    f"meas_loop_{technique}"
    for technique in (
        "lsv", "cv", "dpv", "swv", "npv", "pad", "lsp", "acv", "ca_alt_mux", "cp_alt_mux",
        "ocp_alt_mux", "eis_dual",
    )
) | {"meas_fast_cv", "meas_fast_ca", "meas_ms_eis", "meas_scp"}  # fmt: skip
NOT_ON_DEVICE = frozenset({
    "get_time", "set_cr", "set_gpio_cfg", "set_gpio_pullup", "set_gpio", "get_gpio", "set_pot_range",
    "set_poly_we_mode", "file_open", "file_close", "i2c_config", "i2c_read_byte", "i2c_write_byte",
    "i2c_read", "i2c_write", "i2c_write_read", "hibernate", "int_to_float", "float_to_int", "bit_and_var",
    "bit_or_var", "bit_xor_var", "bit_lsl_var", "bit_lsr_var", "bit_inv_var", "set_channel_sync",
    "set_acquisition_frac", "mux_config", "mux_get_channel_count", "mux_set_channel", "set_gpio_msk",
    "get_gpio_msk", "set_e_aux", "set_ir_comp", "mod_var", "notify_led", "set_scan_dir", "smooth",
    "peak_detect", "set_bipot_mode", "set_bipot_potential", "rtc_get", "beep", "battery_perc", "pow_var",
    "subarray", "log_var", "linear_fit", "mean", "trim_enable",
})  # fmt: skip

_SCRIPT_BITS = {
    "var": 1, "array": 2, "store_var": 3, "copy_var": 4, "add_var": 5, "sub_var": 6, "mul_var": 7,
    "div_var": 8, "set_e": 9, "set_int": 10, "await_int": 11, "wait": 12, "loop": 13, "endloop": 14,
    "breakloop": 15, "if": 16, "else": 17, "elseif": 18, "endif": 19, "meas": 21, "meas_loop_ca": 28,
    "meas_loop_ocp": 30, "meas_loop_eis": 31, "set_autoranging": 32, "pck_start": 33, "pck_add": 34,
    "pck_end": 35, "set_max_bandwidth": 36, "cell_on": 38, "cell_off": 39, "set_pgstat_mode": 40,
    "send_string": 41, "set_pgstat_chan": 42, "set_script_output": 52, "array_get": 53, "array_set": 54,
    "abort": 62, "timer_start": 63, "timer_get": 64, "set_range": 65, "set_range_minmax": 66,
    "meas_loop_cp": 67, "set_i": 68, "meas_loop_geis": 70, "set_acquisition_frac_autoadjust": 91,
    "alter_vartype": 92,
}  # fmt: skip
_COMMUNICATION_BITS = {
    "t": 1, "CC": 32, "CM": 33, "S": 34, "G": 35, "l": 36, "r": 37, "e": 38, "Fmscr": 43, "Lmscr": 44,
    "i": 48, "v": 49, "h": 96, "H": 97, "Z": 98, "Y": 99,
}  # fmt: skip


def script_capabilities() -> str:
    """Reply to `CM` without its echo: 64 hexadecimal digits, bit n = command n of the vendor's table."""
    return f"{sum(1 << bit for bit in _SCRIPT_BITS.values()):064X}"


def communication_capabilities() -> str:
    """Reply to `CC` without its echo."""
    return f"{sum(1 << bit for bit in _COMMUNICATION_BITS.values()):064X}"
