"""Export of the visible part of a plot: picture (PNG, SVG) or numbers (CSV); and copying a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6 import QtCore, QtGui, QtSvg, QtWidgets

from labctl.errors import LabctlError
from labctl.live.plots.crosshair import Crosshair
from labctl.live.plots.plot import without_pictures


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


Kind = Literal["png", "svg", "csv"]
_KINDS: dict[Kind, tuple[str, str]] = {
    "png": ("Picture, PNG …", "Pictures (*.png)"),
    "svg": ("Picture, SVG …", "Vector graphics (*.svg)"),
    "csv": ("Data in view, CSV …", "Comma-separated values (*.csv)"),
}
_PICTURE_SCALE = 2  # pixels of a PNG per pixel on the screen: enough for print at 15 cm width
_CAPTION_PIXEL, _CAPTION_MARGIN = 14, 8
_DOTS_PER_INCH = 96
_NOTHING = "there are no data in view"


@dataclass(frozen=True)
class ExportCaption:
    """What an exported picture says above itself, and how its file is called.

    Attributes:
        caption: Plan, cell and run in words.
        stem: Beginning of the file's name, safe on every file system.
    """

    caption: str
    stem: str


def write_csv(table: Mapping[str, npt.NDArray[np.generic]], path: Path) -> None:
    """Write columns of one length as comma-separated values; NaN is empty, numbers are written in full.

    Raises:
        LabctlError: There is nothing in view, or the file cannot be written.
    """
    import pyarrow as pa

    from labctl.export.files import written_whole
    from labctl.export.tabular import CsvFile, arrow_column

    if not table or not len(next(iter(table.values()))):
        raise LabctlError(_NOTHING)
    with written_whole(path, force=True) as temporary, CsvFile(temporary) as file:
        file.write(pa.table({name: arrow_column(column) for name, column in table.items()}))


def write_png(panel: Panel, path: Path, identity: ExportCaption) -> None:
    """Write a panel's plots as they are in view, at twice the screen's resolution.

    Raises:
        LabctlError: The panel has no plots, or the file cannot be written.
    """
    view = _view(panel)
    image = QtGui.QImage(_size_of(view) * _PICTURE_SCALE, QtGui.QImage.Format.Format_RGB32)
    with _drawn_at(panel, _PICTURE_SCALE):
        painter = QtGui.QPainter(image)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.scale(_PICTURE_SCALE, _PICTURE_SCALE)
        _paint(painter, panel, view, identity)
        painter.end()
    # Afterwards: axes are recorded pictures, which Qt would scale by it.
    image.setDotsPerMeterX(round(_PICTURE_SCALE * _DOTS_PER_INCH / 0.0254))
    image.setDotsPerMeterY(image.dotsPerMeterX())
    writer = QtGui.QImageWriter(str(path), QtCore.QByteArray(b"png"))
    if not writer.write(image):
        raise LabctlError(f"{path}: the picture cannot be written: {writer.errorString()}")


def write_svg(panel: Panel, path: Path, identity: ExportCaption) -> None:
    """Write a panel's plots as they are in view as vector graphics; texts stay texts.

    Raises:
        LabctlError: The panel has no plots, or the file cannot be written.
    """
    from labctl.export.files import written_whole

    view, size = _view(panel), _size_of(_view(panel))
    buffer = QtCore.QBuffer()
    buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
    generator = QtSvg.QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setResolution(_DOTS_PER_INCH)
    generator.setSize(size)
    generator.setViewBox(QtCore.QRect(QtCore.QPoint(0, 0), size))
    generator.setTitle(identity.caption)
    painter = QtGui.QPainter(generator)
    _paint(painter, panel, view, identity)
    painter.end()
    with written_whole(path, force=True) as temporary:
        temporary.write_bytes(buffer.data().data())


def _view(panel: Panel) -> QtWidgets.QGraphicsView:
    items = panel.plot_items()
    scene = items[0].scene() if items else None
    if scene is None:
        raise LabctlError(f"{panel.title} has no picture")
    if not panel.visible_data():
        raise LabctlError(_NOTHING)
    return cast(QtWidgets.QGraphicsView, scene.views()[0])


@contextmanager
def _drawn_at(panel: Any, scale: float) -> Iterator[None]:
    """With as many points and as wide lines as fit so many pixels per pixel of the screen."""
    _redraw(panel, scale)
    try:
        yield
    finally:
        _redraw(panel, 1.0)


def _redraw(panel: Any, scale: float) -> None:
    panel.picture_scale = scale
    panel.apply_theme(panel.theme)
    panel.refresh()


def _size_of(view: QtWidgets.QGraphicsView) -> QtCore.QSize:
    size = view.viewport().size()
    return QtCore.QSize(size.width(), size.height() + _CAPTION_PIXEL + 2 * _CAPTION_MARGIN)


def _paint(
    painter: QtGui.QPainter, panel: Panel, view: QtWidgets.QGraphicsView, identity: ExportCaption
) -> None:
    whole = QtCore.QRect(QtCore.QPoint(0, 0), _size_of(view))
    painter.fillRect(whole, view.backgroundBrush())
    _paint_caption(painter, whole, panel, view, identity)
    height = whole.height() - view.viewport().height()
    target = QtCore.QRectF(0, height, whole.width(), view.viewport().height())
    with _uncached(panel):
        view.render(painter, target, view.viewport().rect())


def _paint_caption(
    painter: QtGui.QPainter,
    whole: QtCore.QRect,
    panel: Panel,
    view: QtWidgets.QGraphicsView,
    identity: ExportCaption,
) -> None:
    """Which run it is: a picture that has left its window must still say so."""
    font = QtGui.QFont(view.font())
    font.setPixelSize(_CAPTION_PIXEL)
    painter.setFont(font)
    painter.setPen(panel.plot_items()[0].getAxis("bottom").textPen())
    text = " · ".join(part for part in (identity.caption, panel.title) if part)
    room = whole.adjusted(2 * _CAPTION_MARGIN, _CAPTION_MARGIN, -2 * _CAPTION_MARGIN, 0)
    painter.drawText(room, QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignTop, text)


@contextmanager
def _uncached(panel: Panel) -> Iterator[None]:
    """Axes and curves that rarely change are kept as pictures for the screen: here they are drawn anew."""
    with without_pictures(panel.plot_items()[0].scene()):
        yield


class ExportMenu(QtWidgets.QMenu):
    """Export of one panel, and copying of what the crosshair reads.

    Args:
        panel: What is exported.
        identity: Gives what it says of itself.

    Attributes:
        panel: What is exported.

    Signals:
        told: what was written, or why nothing was.
    """

    told = QtCore.Signal(str)

    def __init__(
        self, panel: Panel, identity: Callable[[], ExportCaption], parent: QtWidgets.QWidget | None = None
    ) -> None:
        super().__init__(panel.title, parent)
        self.panel, self._identity = panel, identity
        for kind, (text, _) in _KINDS.items():
            self.addAction(text).triggered.connect(partial(self._ask, kind))
        self.addSeparator()
        self.copy_action = self.addAction("Copy the value at the pointer\tCtrl+C")
        self.copy_action.triggered.connect(self.copy_value)

    def _ask(self, kind: Kind) -> None:
        """Ask for a file; not the desktop's own dialogue, which would hold up the window."""
        stem = f"{self._identity().stem}__{self.panel.name}.{kind}"
        dialogue = QtWidgets.QFileDialog(cast(QtWidgets.QWidget, self.panel), "Export", stem, _KINDS[kind][1])
        dialogue.setOption(QtWidgets.QFileDialog.Option.DontUseNativeDialog)
        dialogue.setAcceptMode(QtWidgets.QFileDialog.AcceptMode.AcceptSave)
        dialogue.setDefaultSuffix(kind)
        dialogue.selectFile(stem)
        dialogue.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        dialogue.fileSelected.connect(lambda name: self.export(kind, Path(name)))
        dialogue.open()

    def export(self, kind: Kind, path: Path) -> None:
        """Write a file, and tell."""
        try:
            if kind == "csv":
                write_csv(self.panel.visible_data(), path)
            else:
                {"png": write_png, "svg": write_svg}[kind](self.panel, path, self._identity())
        except (LabctlError, OSError) as error:
            self.told.emit(f"not exported: {error}")
            return
        self.told.emit(f"written: {path}")

    def copy_value(self) -> None:
        """Put what the crosshair reads on the clipboard: names and plain numbers, for a spreadsheet."""
        crosshair: Any = getattr(self.panel, "crosshair", None)
        reading = crosshair.last if isinstance(crosshair, Crosshair) else None
        if reading is None:
            self.told.emit("there is no value at the pointer")
            return
        QtWidgets.QApplication.clipboard().setText(reading.table)
        self.told.emit(f"copied: {reading.text}")
