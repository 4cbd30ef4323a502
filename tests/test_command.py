import pytest
from IPython.core.error import UsageError

from jupyter_scale.command import complete, help_text, parse

COMMANDS = ["up", "list", "use", "to", "adapt", "down", "profiles", "manifest"]
COMMANDS += ["watch", "dashboard"]
COMMANDS += ["runs", "show", "resume", "rerun", "diff", "note", "log", "rm", "help", "export"]


def test_a_cell_line_gives_typed_values() -> None:
    arguments = parse("--plan -o report --seed 3 --merge seeded --local  # a remark", cell=True)
    assert (arguments.plan, arguments.output, arguments.seed) == (True, "report", 3)
    assert (arguments.merge, arguments.local) == ("seeded", True)


def test_defaults() -> None:
    arguments = parse("", cell=True)
    assert (arguments.plan, arguments.output, arguments.seed) == (False, None, None)
    assert (arguments.merge, arguments.local) == ("all", False)
    assert parse("").command is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("upp", "there is no command 'upp'. Did you mean up?"),
        ("frobnicate", "there is no command 'frobnicate'. See %scale help"),
        ("up --worker 3", "unknown argument '--worker'. Did you mean --workers?"),
        ("up --workers", "--workers: expected one argument"),
        ("up --workers two", "--workers: 'two' is not a whole number"),
        ("up --workers=2.5", "'2.5' is not a whole number"),
        ("down this now", "unknown argument 'now'"),
        ("down --all now", "not allowed with argument"),
        ("to", "required: N"),
        ("to many", "'many' is not a whole number"),
        ("use", "required: CLUSTER"),
        ("up --adapt 1", "expected 2 arguments"),
        ("up --adapt 1 2 --workers 3", "not allowed with argument"),
        ("watch taks", "there is no view 'taks'. Did you mean tasks? See %scale watch --help"),
        ("tasks", "Did you mean %scale watch tasks?"),
        ("--plan", "Did you mean %%scale --plan?"),
        ("--workers 3", "Did you mean %scale up --workers?"),
        ("export", "required: [NOTEBOOK] DIR"),
        ("export out --acept x", "Did you mean --accept?"),
        ("export out --source x", "'x' is not PATH=ADDRESS"),
        ("up 'a", "No closing quotation"),
    ],
)
def test_a_wrong_line_is_explained(line: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(line)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("up", "Did you mean %scale up?"),
        ("--seeed 3", "Did you mean --seed?"),
        ("--sed=3", "Did you mean --seed?"),
        ("--merge seed", "Did you mean seeded?"),
        ("--workers 3", "Did you mean %scale up --workers?"),
        ("--seed x", "'x' is not a whole number"),
        ("--seed -1", "'-1' is not between 0 and 4294967295"),
        ("-o 3x", "'3x' is not the name of a variable"),
        ("-o class", "'class' is not the name of a variable"),
    ],
)
def test_a_wrong_cell_line_is_explained(line: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(line, cell=True)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("line", "cell", "expected"),
    [
        ("", False, ("", [*COMMANDS, "-h", "--help"])),
        ("u", False, ("u", ["up", "use"])),
        ("up l", False, ("l", ["local"])),
        ("use tls", False, ("tls", [])),
        ("up --", False, ("--", ["--help", "--workers", "--adapt", "--threads", "--memory"])),
        ("up --workers 2 --", False, ("--", ["--help", "--adapt", "--threads", "--memory"])),
        ("up --workers ", False, ("", [])),
        ("nonsense ", False, ("", [])),
        ("watch log w", False, ("w", ["workers"])),
        ("watch log l", False, ("l", [])),
        ("watch o", False, ("o", ["off"])),
        ("export --acc", False, ("--acc", ["--accept"])),
        ("--p", True, ("--p", ["--plan"])),
        ("--merge ", True, ("", ["all", "seeded"])),
        ("--plan --merge s", True, ("s", ["seeded"])),
        ("-o ", True, ("", [])),
        ("u", True, ("u", [])),
    ],
)
def test_completion(line: str, cell: bool, expected: tuple[str, list[str]]) -> None:
    assert complete(line, cell=cell) == expected


def test_what_is_watched_can_be_chosen() -> None:
    assert parse("watch").views == []
    assert parse("watch log tasks").views == ["log", "tasks"]


def test_help_has_examples_for_both_magics() -> None:
    text = help_text()
    assert "%scale up --workers 2 --memory 2GiB" in text
    assert "%%scale --plan " in text
    assert "usage: %scale [up | list | use |" in text
    assert help_text("up").startswith("usage: %scale up")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    assert parse(f"{command} --help").help
    assert help_text(command).startswith(f"usage: %scale {command}")
    assert "%%" not in help_text(command).replace("%%scale", "")
