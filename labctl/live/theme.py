"""Colours and style sheets, dark and light.

The colours of curves and states are those of Okabe and Ito (2008), which people with any kind of colour
vision can tell apart; states carry a sign of their own besides.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6 import QtGui, QtWidgets

from labctl.live.status import State


@dataclass(frozen=True)
class Theme:
    """All colours, as #rrggbb."""

    name: str
    window: str
    panel: str
    plot: str
    text: str
    muted: str
    border: str
    grid: str
    selected: str
    voltage: str
    current: str
    good: str
    done: str
    warning: str
    bad: str

    def curve(self, column: str) -> str:
        """Colour of a curve by its column's name."""
        return self.voltage if column == "voltage_volt" else self.current

    def state(self, state: State) -> str:
        """Colour of a state."""
        kinds = {
            "running": self.good,
            "finished": self.done,
            "replay": self.done,
            "waiting": self.muted,
            "stale": self.warning,
            "paused": self.warning,
            "aborted": self.warning,
        }
        return kinds.get(state, self.bad)


DARK = Theme(
    name="dark",
    window="#15181d",
    panel="#1d2127",
    plot="#101317",
    text="#e8eaed",
    muted="#9aa3ad",
    border="#30363e",
    grid="#8b949e",
    selected="#2b3440",
    voltage="#56b4e9",
    current="#e69f00",
    good="#2bc08e",
    done="#56b4e9",
    warning="#f0c948",
    bad="#ff7a45",
)
LIGHT = Theme(
    name="light",
    window="#f1f3f5",
    panel="#ffffff",
    plot="#ffffff",
    text="#1b1f24",
    muted="#5b6570",
    border="#d3d8de",
    grid="#6a737d",
    selected="#dce9f5",
    voltage="#0072b2",
    current="#d55e00",
    good="#00795a",
    done="#0072b2",
    warning="#8a6100",
    bad="#c03d00",
)
THEMES = {theme.name: theme for theme in (DARK, LIGHT)}


def apply(widget: QtWidgets.QWidget, theme: Theme) -> None:
    """Give a window and all in it the theme's palette and style."""
    palette = QtGui.QPalette()
    roles = QtGui.QPalette.ColorRole
    for role, colour in (
        (roles.Window, theme.window),
        (roles.WindowText, theme.text),
        (roles.Base, theme.panel),
        (roles.AlternateBase, theme.panel),
        (roles.Text, theme.text),
        (roles.Button, theme.panel),
        (roles.ButtonText, theme.text),
        (roles.Highlight, theme.selected),
        (roles.HighlightedText, theme.text),
        (roles.ToolTipBase, theme.panel),
        (roles.ToolTipText, theme.text),
    ):
        palette.setColor(role, QtGui.QColor(colour))
    widget.setPalette(palette)
    widget.setStyleSheet(style_sheet(theme))


def style_sheet(theme: Theme) -> str:
    """The style sheet of the window."""
    return f"""
QWidget {{ color: {theme.text}; font-size: 13px; }}
QMainWindow, QWidget#window {{ background: {theme.window}; }}
QFrame#card {{ background: {theme.panel}; border: 1px solid {theme.border}; border-radius: 6px; }}
QLabel {{ background: transparent; }}
QLabel#title {{ font-size: 16px; font-weight: 600; }}
QLabel#muted, QLabel#caption {{ color: {theme.muted}; }}
QLabel#caption {{ font-size: 11px; }}
QLabel#value {{ font-size: 27px; font-weight: 600; }}
QLabel#unit {{ font-size: 15px; color: {theme.muted}; }}
QLabel#warning {{ color: {theme.warning}; font-weight: 600; }}
QLabel#message {{ color: {theme.muted}; font-size: 18px; background: {theme.plot}; padding: 40px; }}
QProgressBar {{ background: {theme.border}; border: none; border-radius: 3px; }}
QProgressBar::chunk {{ background: {theme.good}; border-radius: 3px; }}
QListView {{ background: {theme.panel}; border: 1px solid {theme.border}; border-radius: 6px;
    outline: none; }}
QPushButton, QComboBox {{ background: {theme.panel}; border: 1px solid {theme.border}; border-radius: 5px;
    padding: 4px 11px; min-height: 18px; }}
QPushButton:hover, QComboBox:hover {{ border-color: {theme.muted}; }}
QPushButton:checked {{ background: {theme.selected}; border-color: {theme.done}; }}
QPushButton:focus, QComboBox:focus {{ border-color: {theme.done}; }}
QComboBox QAbstractItemView {{ background: {theme.panel}; selection-background-color: {theme.selected};
    selection-color: {theme.text}; }}
QComboBox::drop-down {{ border: none; width: 22px; }}
QSplitter::handle {{ background: transparent; }}
QScrollBar:vertical {{ background: transparent; width: 10px; }}
QScrollBar::handle:vertical {{ background: {theme.border}; border-radius: 4px; min-height: 30px; }}
QScrollBar::add-line:vertical, QScrollBar::sub-line:vertical {{ height: 0; }}
QToolTip {{ background: {theme.panel}; color: {theme.text}; border: 1px solid {theme.border}; }}
"""
