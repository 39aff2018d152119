"""The window as a picture, drawn without a screen: PNG or SVG."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtWidgets

from labctl.errors import LabctlError
from labctl.live.plots.plot import smooth, without_pictures

if TYPE_CHECKING:
    from labctl.live.window.live_window import LiveWindow


_LAID_OUT_FOR = (1600, 900)  # pictures larger than this by a whole factor are drawn larger, not roomier
_SVG_DOTS_PER_INCH = 96
_SETTLE_ROUNDS = 4  # axes change their width with their labels: the layout needs some rounds


def save_picture(
    window: LiveWindow, path: Path, size: tuple[int, int], bring_up_to_date: Callable[[], None]
) -> None:
    """Save a window as it would look at `size` pixels.

    Args:
        window: The window; it is of no other use afterwards.
        path: The file, .png or .svg.
        size: Width and height in pixels.
        bring_up_to_date: Called once the window has its size.

    Raises:
        LabctlError: The file cannot be written.
    """
    factor = max(min(size[0] // _LAID_OUT_FOR[0], size[1] // _LAID_OUT_FOR[1]), 1)
    vector = path.suffix.lower() == ".svg"
    if vector:
        factor = 1
    for panel in window.panels.values():
        panel.picture_scale = float(factor)
    window.apply_theme(window.theme)
    window.menuBar().hide()
    window.setFixedSize(round(size[0] / factor), round(size[1] / factor))
    window.show()
    for _ in range(_SETTLE_ROUNDS):
        QtWidgets.QApplication.processEvents()
        bring_up_to_date()
    QtWidgets.QApplication.processEvents()
    with ExitStack() as stack:
        for panel in window.panels.values():
            for item in panel.plot_items():
                for curve in filter(_is_curve, item.items):
                    smooth(curve)
            for item in panel.plot_items()[:1]:
                stack.enter_context(without_pictures(item.scene()))
        if vector:
            _save_svg(window, path)
        else:
            _save_png(window, path, size, factor)


def _is_curve(item: Any) -> bool:
    return isinstance(item, pg.PlotCurveItem)


def _save_png(window: LiveWindow, path: Path, size: tuple[int, int], factor: int) -> None:
    image = QtGui.QImage(*size, QtGui.QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(factor)
    window.render(image)
    writer = QtGui.QImageWriter(str(path), QtCore.QByteArray(b"png"))
    if not writer.write(image):
        raise LabctlError(f"{path}: the picture cannot be written: {writer.errorString()}")


def _save_svg(window: LiveWindow, path: Path) -> None:
    """Lines and texts stay what they are."""
    from PySide6 import QtSvg

    file = QtCore.QFile(str(path))
    if not file.open(QtCore.QIODevice.OpenModeFlag.WriteOnly):
        raise LabctlError(f"{path}: the picture cannot be written: {file.errorString()}")
    generator = QtSvg.QSvgGenerator()
    generator.setOutputDevice(file)
    generator.setResolution(_SVG_DOTS_PER_INCH)
    generator.setSize(window.size())
    generator.setViewBox(window.rect())
    generator.setTitle(window.windowTitle())
    painter = QtGui.QPainter(generator)
    window.render(painter, QtCore.QPoint())
    painter.end()
    file.close()
