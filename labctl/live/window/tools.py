"""Actions of the user: export, copy, browse the stored runs."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6 import QtCore, QtGui

from labctl.export.files import file_stem
from labctl.live.browser.run_browser import RunBrowser
from labctl.live.plots.export import ExportCaption, ExportMenu
from labctl.live.window.controller import FollowController, LiveController

_UID_LETTERS = 8


class WindowTools(QtCore.QObject):
    """Menus and keys of one window.

    Args:
        controller: Shows the run; its window gets the menus. Where it follows a data directory, that can be
            browsed.
    """

    def __init__(self, controller: LiveController) -> None:
        super().__init__(controller)
        self._controller = controller
        self.window = controller.window
        self.browser: RunBrowser | None = None
        self.menus = {name: self._menu_of(panel) for name, panel in self.window.panels.items()}
        self.export_menu = self.window.menuBar().addMenu("Export")
        self.export_menu.aboutToShow.connect(self._offer)
        QtGui.QShortcut("Ctrl+C", self.window, self.copy_value)
        if isinstance(controller, FollowController):
            self.window.runs_menu.addAction("Browse and compare …\tCtrl+B", self.browse)
            QtGui.QShortcut("Ctrl+B", self.window, self.browse)
            self.window.closed.connect(self._close_browser)
            self.window.installEventFilter(self)
        self._offer()

    def _menu_of(self, panel: Any) -> ExportMenu:
        menu = ExportMenu(panel, self.identity, self.window)
        menu.told.connect(self.window.readout.setText)
        if panel.plot_items():
            scene: Any = panel.plot_items()[0].scene()
            scene.sigMouseClicked.connect(partial(self._clicked, menu))
        return menu

    def _clicked(self, menu: ExportMenu, event: Any) -> None:
        if event.button() == QtCore.Qt.MouseButton.RightButton:
            event.accept()
            menu.popup(event.screenPos().toPoint())

    def _offer(self) -> None:
        """Offer the panels that are in view."""
        self.export_menu.clear()
        for panel in self.window.docks.in_view():
            self.export_menu.addMenu(self.menus[panel.name])
        self.export_menu.addSeparator()
        self.export_menu.addAction("Copy the value at the pointer\tCtrl+C", self.copy_value)

    def copy_value(self) -> None:
        """Copy what is under the pointer, or was last."""
        panels = [panel for panel in self.window.docks.in_view() if hasattr(panel, "crosshair")]
        now = [panel for panel in panels if panel.crosshair.reading is not None]
        last = [panel for panel in panels if panel.crosshair.last is not None]
        for panel in (now or last or panels)[:1]:
            self.menus[panel.name].copy_value()

    def identity(self) -> ExportCaption:
        """Which run is shown."""
        model = self._controller.model
        cell = ", ".join(part for part in (model.cell_id, model.coating) if part)
        run = f"run {model.uid[:_UID_LETTERS]}" if model.uid else ""
        caption = " · ".join(part for part in (model.plan_name, cell, run) if part)
        return ExportCaption(caption, file_stem(model.start or {}))

    def browse(self) -> None:
        """Open the browser of stored runs, or bring it to the front."""
        if not isinstance(self._controller, FollowController):
            return
        if self.browser is None or not self.browser.isVisible():
            self._close_browser()
            self.browser = RunBrowser(self._controller.data_directory, self.window.theme)
            self.browser.show_wanted.connect(self._controller.show_stored)
            self.browser.resize(self.window.size())
            self.browser.show()
        self.browser.raise_()
        self.browser.activateWindow()

    def _close_browser(self) -> None:
        if self.browser is not None:
            self.browser.close()
            self.browser.deleteLater()
            self.browser = None

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:  # noqa: N802 - Qt's spelling
        """Let everything pass; other colours are for the browser too."""
        if event.type() == QtCore.QEvent.Type.PaletteChange and self.browser is not None:
            self.browser.apply_theme(self.window.theme)
        return False
