"""The Jupyter server's side: what the panel asks for, and events of what has changed.

No logic of its own: handlers read and write the same files, and call the same functions, as the
magics and the command line do. What blocks runs in threads.
"""

from __future__ import annotations

from typing import Any

__all__ = ["_load_jupyter_server_extension"]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the handlers and the events to a Jupyter server."""
    from jupyter_scale.server.handlers import handlers
    from jupyter_scale.server.watcher import Watcher

    serverapp.web_app.add_handlers(".*$", handlers(serverapp.web_app.settings["base_url"]))
    root = getattr(serverapp.contents_manager, "root_dir", "")
    watcher = Watcher(serverapp.event_logger, serverapp.session_manager, root)
    serverapp.web_app.settings["jupyter_scale"] = watcher
    serverapp.io_loop.add_callback(watcher.start)
