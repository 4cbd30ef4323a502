"""`%scale export` and `jupyter scale export`: the words of a line become an export's options.

The magic exports the notebook whose kernel this is, as it is saved, and looks at this process; the
command line runs a notebook in a kernel of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from distributed import Client

from jupyter_scale import actions, clusters
from jupyter_scale.command import Arguments
from jupyter_scale.export.brought import bringing
from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.options import Options

if TYPE_CHECKING:
    from jupyter_scale.export.claim import Claim
    from jupyter_scale.export.report import Report

__all__ = ["ExportError", "export", "here", "options"]


def options(arguments: Arguments) -> Options:
    """Return what a line asks for."""
    return Options(
        accept=tuple(arguments.accept or ()),
        yes=arguments.yes,
        wheels=arguments.wheels,
        binder=arguments.binder,
        thebe=arguments.thebe,
        course=arguments.course,
        docker=arguments.docker,
        kubernetes=arguments.kubernetes is not None,
        name=arguments.kubernetes or "",
        image=arguments.image,
        git=arguments.git,
        verify=arguments.verify,
        sources=tuple(arguments.sources or ()),
    )


def export(
    arguments: Arguments,
    *,
    notebook: str = "",
    live: bool = False,
    history: Sequence[str] | None = None,
    client: Client | None = None,
    show: Callable[[str], None],
    tell: Callable[[Claim], None] = lambda claim: None,
) -> Report:
    """Do what a line says, and return what came of it.

    Raises
    ------
    ExportError
        When it cannot be done; `Blocked` for findings that are to be answered.
    """
    from jupyter_scale.export.planning import plan
    from jupyter_scale.export.writing import write

    *named, folder = arguments.places or [""]
    paths = named or [notebook]
    if live and len(paths) > 1:
        raise ExportError("A kernel is that of one notebook; several: jupyter scale export")
    if not paths[0]:
        raise ExportError(
            "Which notebook? This kernel's server does not say: %scale export NOTEBOOK DIR"
        )
    made = plan(
        paths if len(paths) > 1 else paths[0],
        folder,
        options(arguments),
        live=live,
        history=history,
        client=client,
        show=show,
    )
    return made.report() if arguments.plan else write(made, show, tell)


def here(arguments: Arguments, shell: Any) -> None:
    """Export the notebook of this kernel, and show how far it is and what came of it.

    Raises
    ------
    ExportError
        As `export` does; findings are shown first.
    """
    with bringing("export"):
        _here(arguments, shell)


def _here(arguments: Arguments, shell: Any) -> None:
    from jupyter_scale.export.report import Blocked
    from jupyter_scale.view.exporting import Telling

    asked = asdict(options(arguments)) | {"plan": arguments.plan}
    telling = Telling(shell, (arguments.places or [""])[-1], asked)
    cluster = clusters.current()
    try:
        report = export(
            arguments,
            notebook=actions.notebook(),
            live=True,
            history=list(shell.history_manager.input_hist_raw),
            client=cluster.client if cluster is not None else clusters.other(),
            show=telling.stage,
            tell=telling.claim,
        )
    except Blocked as error:
        telling.end("blocked", report=error.report)
        raise ExportError(error.report.head) from None
    except ExportError as error:
        telling.end("failed", error=str(error))
        raise
    except KeyboardInterrupt:
        telling.end("interrupted")
        raise
    except BaseException as error:
        telling.end("failed", error=f"{type(error).__name__}: {error}")
        raise
    telling.end("planned" if arguments.plan else "exported", report=report)
    if report.failed:
        raise ExportError("It was written, and does not hold: see the claims above.")
