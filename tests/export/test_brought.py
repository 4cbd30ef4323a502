"""What is loaded because of an export is told from what a notebook uses."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from jupyter_scale.export.brought import bringing, names

def came(used=False):
    return {"wave", "plistlib", "colorsys"} & names(used=used)

with bringing("extension"):
    import wave
    assert came() == {"wave"}
assert (came(), came(used=True)) == ({"wave"}, set())
import colorsys
with bringing("export"):
    import plistlib
    import colorsys
    assert came(used=True) == {"plistlib"}
assert (came(), came(used=True)) == ({"wave", "plistlib"}, {"plistlib"})
"""


def test_what_is_loaded_meanwhile_is_ours() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
