"""What a piece of code asks for: imports, programs, installs, files, variables, luck.

Python is read as `ast` does; what IPython adds (``%magic``, ``!program``, ``%%bash``) by its lines.
A cell that cannot be read so is looked through for imports, and says so (`Said.unreadable`).
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Said", "read_cell", "read_module"]

SHELLS = ("bash", "sh", "script", "!")
OTHER_LANGUAGES = (
    *SHELLS, "html", "HTML", "javascript", "js", "latex", "markdown", "perl", "ruby", "svg",
    "SVG", "writefile", "file", "cython", "R", "sql", "system", "sx", "cmd",
)  # fmt: skip
"""Cell magics whose cell is not Python."""
MAGIC = re.compile(r"^(?P<indent>\s*)(?P<to>[\w.,\s\[\]]+=\s*)?(?P<kind>%(?!%)|!!?)(?P<line>.*)$")
CONTINUED = re.compile(r"^(\s*[%!].*)\\\n\s*", re.MULTILINE)
HELP = re.compile(r"^\s*\??\??[\w.*]+\?\??\s*$")
IMPORT = re.compile(r"^\s*(?:import|from)\s+([A-Za-z_][\w.]*)", re.MULTILINE)
_BUILTIN = """
    alias bg break case cd command continue do done echo elif else esac eval exec exit export
    false fi for function if in local printf pwd read return set shift source test then time
    true type ulimit umask unset until wait while [ [[ : . { } basename cat chgrp chmod chown
    cp cut date dd df dirname du env expr find grep head hostname id ln ls mkdir mktemp mv nl
    nproc paste printenv realpath rm rmdir sed seq sha256sum sleep sort split stat tail tar
    tee touch tr uname uniq wc which whoami xargs yes zcat gzip gunzip bash sh sudo nohup
"""
BUILTIN = frozenset(_BUILTIN.split())
"""What a shell, or any Debian, has by itself."""
_PREFIXES = "sudo nohup time env exec xargs command if then else do while"
PREFIXES = frozenset(_PREFIXES.split())
RUNS = {"run", "call", "check_call", "check_output", "Popen", "system", "popen", "which"}
DRAWS = re.compile(
    r"(?:np|numpy)\.random\.(?!seed$|default_rng$|RandomState$|Generator$|SeedSeq)\w+"
)
PLAIN = re.compile(r"random\.(?!seed$|Random$|setstate$)\w+")
CLOCKS = frozenset(
    ["datetime.now", "datetime.today", "datetime.utcnow", "datetime.datetime.now", "date.today",
     "datetime.date.today", "uuid.uuid4", "uuid.uuid1", "uuid4", "os.urandom", "secrets.token_hex",
     "os.getpid", "pd.Timestamp.now", "pandas.Timestamp.now"]
)  # fmt: skip
SEEDS = frozenset(
    [
        "random.seed",
        "np.random.seed",
        "numpy.random.seed",
        "torch.manual_seed",
        "tf.random.set_seed",
    ]
)
UNSEEDED = frozenset(["np.random.default_rng", "numpy.random.default_rng", "default_rng"])


@dataclass(slots=True)
class Said:
    """What one cell or module asks for.

    Attributes
    ----------
    imports : list of str
        Dotted names of modules.
    extensions : list of str
        Of ``%load_ext``.
    programs : list of str
    installs : list of str
        Lines of ``%pip``, ``%conda`` and ``!pip install``.
    strings : list of str
        Literals that may be paths.
    variables : list of str
        Of the environment, that are read.
    draws : list of str
        Calls whose result is another at each run.
    seeds : list of str
        Calls that seed the former.
    unreadable : str
        Why it is not Python, or nothing.
    """

    imports: list[str] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    installs: list[str] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    draws: list[str] = field(default_factory=list)
    seeds: list[str] = field(default_factory=list)
    unreadable: str = ""


def read_module(text: str, package: tuple[str, ...] = ()) -> Said:
    """Return what a module asks for.

    Parameters
    ----------
    text : str
    package : tuple of str
        The package that it is in, for relative imports.
    """
    said = Said()
    _python(text, said, package)
    return said


def read_cell(text: str) -> Said:
    r"""Return what a cell asks for.

    Examples
    --------
    >>> said = read_cell("%load_ext jupyter_scale\nimport numpy as np\n!dot -Tsvg x.dot | head")
    >>> said.imports, said.extensions, said.programs
    (['numpy', 'jupyter_scale'], ['jupyter_scale'], ['dot'])
    """
    said = Said()
    first, _, rest = text.lstrip().partition("\n")
    if first.startswith("%%"):
        name, _, line = first[2:].strip().partition(" ")
        if name in SHELLS or name in ("sx", "system"):
            shell = "" if name != "script" else line
            for program in _commands(shell):
                _add(said.programs, program)
            _shell(rest, said)
            return said
        if name in OTHER_LANGUAGES:
            return said
        _magic(first[1:], said)
        text = rest
    _python(text, said, ())
    return said


def _python(text: str, said: Said, package: tuple[str, ...]) -> None:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        try:
            tree = ast.parse(_without_magics(text, said))
        except SyntaxError as error:
            said.unreadable = f"line {error.lineno}: {error.msg}"
            said.imports += IMPORT.findall(text)
            return
    _Reader(said, package).visit(tree)
    for name in said.extensions:
        _add(said.imports, name)


def _without_magics(text: str, said: Said) -> str:
    while (joined := CONTINUED.sub(r"\1 ", text)) != text:
        text = joined
    lines: list[str] = []
    for line in text.split("\n"):
        match = MAGIC.match(line)
        if match is None:
            lines.append("" if HELP.match(line) and "?" in line else line)
            continue
        _magic(match["kind"] + match["line"].strip(), said)
        value = "None" if match["to"] else "pass"
        lines.append(f"{match['indent']}{match['to'] or ''}{value}")
    return "\n".join(lines)


def _magic(line: str, said: Said) -> None:
    if line.startswith("!"):
        _shell(line.lstrip("!"), said)
        return
    name, _, rest = line.lstrip("%").strip().partition(" ")
    if name == "scale":
        _add(said.imports, "jupyter_scale")
    if name in ("pip", "conda", "mamba", "uv"):
        said.installs.append(f"{name} {rest.strip()}")
    elif name in ("load_ext", "reload_ext"):
        _add(said.extensions, rest.strip())
    elif name in ("sx", "system"):
        _shell(rest, said)
    elif name == "matplotlib":
        _add(said.imports, "matplotlib")
    elif name == "env" and rest and "=" not in rest and " " not in rest.strip():
        _add(said.variables, rest.strip())
    elif name in ("time", "timeit", "prun", "scale") and rest:
        inner = Said()
        _python(re.sub(r"^(-\S+\s+)*", "", rest), inner, ())
        if not inner.unreadable:
            for kind in ("imports", "programs", "strings", "variables", "draws", "seeds"):
                getattr(said, kind).extend(getattr(inner, kind))


def _shell(text: str, said: Said) -> None:
    for line in text.replace("\\\n", " ").split("\n"):
        if re.match(r"\s*(\S*python\S*\s+-m\s+)?(pip|conda|mamba|uv\s+pip)3?\s+install\b", line):
            said.installs.append(line.strip())
            continue
        for program in _commands(line):
            _add(said.programs, program)


def _commands(line: str) -> Iterator[str]:
    """Yield the programs of a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    first = True
    try:
        for word in lexer:
            if set(word) <= set("|&;()"):
                first = True
            elif first and re.match(r"\w+=", word):
                continue
            elif first:
                if word in (
                    "sudo",
                    "nohup",
                    "time",
                    "env",
                    "exec",
                    "xargs",
                    "command",
                    "if",
                    "then",
                ):
                    continue
                first = False
                name = word.rpartition("/")[2]
                if re.fullmatch(r"[\w.+-]+", name) and name not in BUILTIN and "{" not in word:
                    yield name
    except ValueError:
        return  # a quotation that ends elsewhere


def _add(to: list[str], one: str) -> None:
    if one and one not in to:
        to.append(one)


class _Reader(ast.NodeVisitor):
    def __init__(self, said: Said, package: tuple[str, ...]) -> None:
        self._said, self._package = said, package

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            _add(self._said.imports, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._package[: len(self._package) - node.level + 1] if node.level else ()
        module = ".".join((*base, *([node.module] if node.module else [])))
        if module:
            _add(self._said.imports, module)
        for alias in node.names:  # it may be a module: what is installed tells
            if node.level and not module:
                _add(self._said.imports, alias.name)
            elif alias.name != "*" and module:
                _add(self._said.imports, f"{module}.{alias.name}")

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and 0 < len(node.value) < 300 and "\n" not in node.value:
            _add(self._said.strings, node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _dotted(node.value) in ("os.environ", "environ") and isinstance(
            node.slice, ast.Constant
        ):
            _add(self._said.variables, str(node.slice.value))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _dotted(node.func)
        last = name.rpartition(".")[2]
        if name in ("os.environ.get", "environ.get", "os.getenv", "getenv") and node.args:
            if isinstance(node.args[0], ast.Constant):
                _add(self._said.variables, str(node.args[0].value))
        elif last in ("import_module", "__import__") and node.args:
            if isinstance(node.args[0], ast.Constant):
                _add(self._said.imports, str(node.args[0].value))
        elif last in RUNS and node.args and (name != last or last in ("Popen", "which")):
            self._run(node.args[0])
        elif name in SEEDS:
            _add(self._said.seeds, name)
        elif (
            DRAWS.fullmatch(name)
            or PLAIN.fullmatch(name)
            or name in CLOCKS
            or (name in UNSEEDED and not node.args and not node.keywords)
        ):
            _add(self._said.draws, name)
        self.generic_visit(node)

    def _run(self, argument: ast.expr) -> None:
        if isinstance(argument, ast.List | ast.Tuple) and argument.elts:
            argument = argument.elts[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                for program in _commands(shlex.quote(argument.value)):
                    _add(self._said.programs, program)
        elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            for program in _commands(argument.value):
                _add(self._said.programs, program)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else node.attr
    return node.id if isinstance(node, ast.Name) else ""
