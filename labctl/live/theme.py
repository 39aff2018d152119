"""Colours and style sheets, dark and light.

The colours of curves and states are those of Okabe and Ito (2008), which people with any kind of colour
vision can tell apart; states carry a sign of their own besides. What has an order is coloured with viridis,
whose lightness grows with the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.live.model.status import State
from labctl.schema import VOLTAGE


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
    third: str
    fourth: str
    sequence: tuple[float, float]  # the part of viridis that stands out from `plot`

    def shade(self, share: float) -> str:
        """Colour of a place between the first (0) and the last (1) of what has an order."""
        low, high = self.sequence
        return _viridis(round(255 * (low + (high - low) * min(max(share, 0.0), 1.0))))

    def curve(self, column: str) -> str:
        """Colour of a curve by its column's name."""
        return self.voltage if column == VOLTAGE else self.current

    def state(self, state: State) -> str:
        """Colour of a state."""
        kinds = {
            "running": self.good,
            "finished": self.done,
            "replay": self.done,
            "waiting": self.muted,
            "stale": self.warning,
            "paused": self.warning,
            "stopped": self.warning,
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
    third="#2bc08e",
    fourth="#cc79a7",
    sequence=(0.3, 1.0),
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
    third="#00795a",
    fourth="#a8487e",
    sequence=(0.0, 0.8),
)
THEMES = {theme.name: theme for theme in (DARK, LIGHT)}
SYSTEM = "system"


@cache
def _viridis(place: int) -> str:
    colours: Any = pg.colormap.get("viridis")
    red, green, blue = (int(part) for part in np.asarray(colours.getLookupTable(0.0, 1.0, 256))[place][:3])
    return f"#{red:02x}{green:02x}{blue:02x}"


def theme_named(name: str) -> Theme:
    """The theme of a name; "system" is what the desktop wants, dark where it does not say."""
    if name in THEMES:
        return THEMES[name]
    hints = QtGui.QGuiApplication.styleHints() if QtGui.QGuiApplication.instance() else None
    light = hints is not None and hints.colorScheme() == QtCore.Qt.ColorScheme.Light
    return LIGHT if light else DARK


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
QLineEdit {{ background: {theme.plot}; border: 1px solid {theme.border}; border-radius: 5px;
    padding: 4px 8px; min-height: 18px; placeholder-text-color: {theme.muted}; }}
QLineEdit:focus {{ border-color: {theme.done}; }}
QLineEdit:disabled, QComboBox:disabled {{ color: {theme.muted}; }}
QTableView::item {{ padding: 0 6px; }}
QAbstractItemView::indicator {{ width: 13px; height: 13px; border: 1px solid {theme.muted};
    border-radius: 3px; background: {theme.plot}; }}
QAbstractItemView::indicator:checked {{ background: {theme.done}; border-color: {theme.done}; }}
QSlider::groove:horizontal {{ height: 4px; background: {theme.border}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {theme.done}; border-radius: 2px; }}
QSlider::handle:horizontal {{ background: {theme.text}; width: 10px; margin: -6px 0; border-radius: 3px; }}
QMenuBar {{ background: {theme.window}; }}
QMenuBar::item {{ padding: 4px 10px; background: transparent; }}
QMenuBar::item:selected, QMenu::item:selected {{ background: {theme.selected}; }}
QMenu {{ background: {theme.panel}; border: 1px solid {theme.border}; padding: 4px; }}
QMenu::item {{ padding: 5px 26px 5px 22px; }}
QMenu::item:disabled {{ color: {theme.muted}; }}
QMenu::separator {{ height: 1px; background: {theme.border}; margin: 4px 8px; }}
QDockWidget {{ color: {theme.muted}; font-size: 12px; titlebar-close-icon: none;
    titlebar-normal-icon: none; }}
QDockWidget::title {{ background: {theme.panel}; border: 1px solid {theme.border}; border-bottom: none;
    padding: 4px 8px; text-align: left; }}
QWidget#panel {{ background: {theme.panel}; border: 1px solid {theme.border}; border-top: none; }}
QWidget#docks {{ background: {theme.window}; }}
QMainWindow::separator {{ background: {theme.window}; width: 6px; height: 6px; }}
QMainWindow::separator:hover {{ background: {theme.selected}; }}
QTabBar {{ qproperty-drawBase: 0; background: transparent; }}
QTabBar::tab {{ background: {theme.window}; color: {theme.muted}; border: 1px solid {theme.border};
    border-bottom: none; padding: 4px 12px; margin-right: 2px; font-size: 12px; }}
QTabBar::tab:selected {{ background: {theme.panel}; color: {theme.text};
    border-top: 2px solid {theme.done}; }}
QTableView {{ background: {theme.plot}; border: none; gridline-color: {theme.border};
    alternate-background-color: {theme.panel}; selection-background-color: {theme.selected};
    selection-color: {theme.text}; }}
QHeaderView {{ background: {theme.panel}; }}
QHeaderView::section {{ background: {theme.panel}; color: {theme.muted}; border: none; padding: 4px 8px; }}
QScrollBar:vertical {{ background: transparent; width: 10px; }}
QScrollBar::handle:vertical {{ background: {theme.border}; border-radius: 4px; min-height: 30px; }}
QScrollBar::add-line:vertical, QScrollBar::sub-line:vertical {{ height: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; }}
QScrollBar::handle:horizontal {{ background: {theme.border}; border-radius: 4px; min-width: 30px; }}
QScrollBar::add-line:horizontal, QScrollBar::sub-line:horizontal {{ width: 0; }}
QToolTip {{ background: {theme.panel}; color: {theme.text}; border: 1px solid {theme.border}; }}
"""
