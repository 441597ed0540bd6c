"""The rules of the house that a machine can hold, read from the source with `ast`.

Every rule is a function from one module to the complaints about it, so that each is shown to see the
violation it forbids (`VIOLATIONS`) before it is held against the tree.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import click
import pytest

from mv_iptel.library.answers import Reason

ROOT = Path(__file__).resolve().parent.parent
FRONT_ENDS = ("tftp", "http", "ftp")
# Modules of the pure library of scripts that do talk to servers: the simulated phone over real sockets.
LIVE_PHONES = {"live", "storm", "agent", "backup", "saving", "wire"}
LINES = 800  # a module longer than this has more than one job


@dataclass(frozen=True)
class Module:
    """One source file: its path from the repository's root, and its text."""

    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def dotted(self) -> str:
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def area(self) -> str:
        """tftp, http, library ...: the package below mv_iptel, or the module's own name."""
        return self.path.with_suffix("").parts[1] if len(self.path.parts) > 1 else ""

    def imports(self) -> Iterator[tuple[str, bool]]:
        """(module, at run time) of every import, however deep. TYPE_CHECKING ones are not at run time."""
        quiet = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            for inner in ast.walk(node)
        }
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, id(node) not in quiet
            elif isinstance(node, ast.ImportFrom):
                yield node.module or "", id(node) not in quiet
                for alias in node.names:
                    yield f"{node.module}.{alias.name}", id(node) not in quiet

    def calls(self) -> Iterator[tuple[str, int]]:
        """(what is called, line): `os.open`, `open`, `self.reply`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node.lineno

    def strings(self) -> Iterator[tuple[str, int]]:
        """Every string constant that is not a docstring."""
        documents = {
            id(node.body[0].value)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body and isinstance(node.body[0], ast.Expr)
        }  # fmt: skip
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
                yield node.value, node.lineno


def modules(*folders: str) -> list[Module]:
    """Every module beneath these folders of the repository."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [Module(PurePosixPath(path.relative_to(ROOT)), path.read_text("utf-8")) for path in found]


OURS = modules("mv_iptel")
MANAGER = modules("manager")
TESTS = modules("tests")


# Rules: each takes a module and yields what is wrong with it.


def says_its_purpose(module: Module) -> Iterator[str]:
    """Every module begins with one line on what it is for."""
    first, _, rest = (ast.get_docstring(module.tree) or "").partition("\n")
    if len(first) < 15:
        yield "no purpose: the docstring's first line says what the module is for"
    elif rest and rest.partition("\n")[0].strip():
        yield f"the purpose is one line: {first!r} runs on"


def stays_small(module: Module) -> Iterator[str]:
    """A file has one job."""
    lines = module.text.count("\n")
    if lines > LINES:
        yield f"{lines} lines: split it by job"


def is_pure(module: Module) -> bool:
    """Bytes and decisions: no sockets, no loop, no log."""
    if module.path.name == "protocol.py" or module.area == "library":
        return True
    return module.area == "phones" and module.path.stem not in LIVE_PHONES


IMPURE = {"socket", "socketserver", "asyncio", "logging", "selectors", "select", "ssl", "http.client",
          "urllib.request", "aiohttp", "subprocess"}  # fmt: skip


def pure_files_stay_pure(module: Module) -> Iterator[str]:
    """Rule 2: what takes bytes and gives bytes imports no socket, asyncio or logging."""
    if not is_pure(module):
        return
    for name, live in module.imports():
        if live and any(name == bad or name.startswith(bad + ".") for bad in IMPURE):
            yield f"a pure file imports {name}"


def protocols_take_time_as_an_argument(module: Module) -> Iterator[str]:
    """Rule 8: `receive(data, now)`, `tick(now)`; a state machine reads no clock."""
    if module.path.name != "protocol.py":
        return
    for call, line in module.calls():
        if call in {"time.time", "time.monotonic", "time.perf_counter", "datetime.now", "time.sleep"}:
            yield f"line {line}: {call}; take `now` as an argument"


def front_ends_keep_apart(module: Module) -> Iterator[str]:
    """A front end knows the library, the events and the configuration; not its siblings, nor who listens."""
    if module.area not in FRONT_ENDS:
        return
    others = (*FRONT_ENDS, "daemon", "cli", "journal", "inventory", "status")
    strangers = {f"mv_iptel.{name}" for name in others}
    for name, _ in module.imports():
        for stranger in strangers - {f"mv_iptel.{module.area}"}:
            if name == stranger or name.startswith(stranger + "."):
                yield f"imports {name}"


def the_library_knows_no_protocol(module: Module) -> Iterator[str]:
    """Rule 1 from the other side: decisions depend on no front end, no listener and no command."""
    if module.area != "library":
        return
    allowed = {"library", "events", "config", "home", "files", "userdata", "snmp", "__version__"}
    for name, _ in module.imports():
        if name.startswith("mv_iptel.") and name.split(".")[1] not in allowed:
            yield f"imports {name}"


def one_place_wires(module: Module) -> Iterator[str]:
    """`daemon.py` is the only wiring: besides it, only commands may import it."""
    if module.area in {"cli", "daemon", "demo"}:
        return
    for name, _ in module.imports():
        if name == "mv_iptel.daemon" or name.startswith("mv_iptel.daemon."):
            yield f"imports {name}"


def front_ends_only_translate(module: Module) -> Iterator[str]:
    """Rule 1: lists, limits and substitutes are decided in the library only."""
    if module.area not in FRONT_ENDS:
        return
    for text, line in module.strings():
        if re.search(r"allow_ip|fxd_|banned\.txt|46xxupgrade", text, re.IGNORECASE):
            yield f"line {line}: {text!r} is the library's matter"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in {"max_clients", "client_session_time"}:
            yield f"line {node.lineno}: {node.attr} is the library's matter"


def front_ends_open_no_files(module: Module) -> Iterator[str]:
    """Rule 5: one function goes from a name to an open file, and it is the library's."""
    if module.area not in FRONT_ENDS or module.path.name == "tls.py":  # certificates are not content
        return
    opening = {"open", "os.open", "io.open", "os.stat", "os.listdir", "os.scandir", "os.walk"}
    for call, line in module.calls():
        if call in opening or call.endswith((".read_bytes", ".read_text", ".iterdir", ".glob", ".rglob")):
            yield f"line {line}: {call}"


def said_once(module: Module) -> Iterator[str]:
    """Rule 7: a front end publishes events; it logs nothing, prints nothing and counts nothing for others."""
    if module.area not in (*FRONT_ENDS, "library"):
        return
    for name, live in module.imports():
        if live and name in {"logging", "prometheus_client"}:
            yield f"imports {name}"
    for call, line in module.calls():
        if call == "print":
            yield f"line {line}: print"


def one_maker_of_finished(module: Module) -> Iterator[str]:
    """One record per answered request: only the library builds it; listeners read it."""
    if module.area == "library":
        return
    for call, line in module.calls():
        if call in {"Finished", "events.Finished"}:
            yield f"line {line}: builds a Finished"


def nothing_sent_picks_an_attribute(module: Module) -> Iterator[str]:
    """Rule 10: a table rather than a lookup by name."""
    if module.area not in FRONT_ENDS:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr", "eval", "exec"}:
            name = node.args[1] if len(node.args) > 1 else None
            if not isinstance(name, ast.Constant):
                yield f"line {node.lineno}: {ast.unparse(node)[:60]}"


def files_earn_their_name(module: Module) -> Iterator[str]:
    """No drawer for what has no place."""
    if module.path.stem in {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}:
        yield f"{module.path.name} says nothing about its job"


def is_manager(module: Module, *packages: str) -> bool:
    return module.path.parts[0] == "manager" and (not packages or module.area in packages)


def facts_know_no_http(module: Module) -> Iterator[str]:
    """The manager's facts are data for pages, the API and tests alike: no request, no answer, no page."""
    if not is_manager(module, "facts"):
        return
    strangers = ("aiohttp", "jinja2", "manager.call", "manager.pages", "manager.api", "manager.guarding",
                 "manager.rendering", "manager.streams")  # fmt: skip
    for name, live in module.imports():
        if live and any(name == bad or name.startswith(bad + ".") for bad in strangers):
            yield f"facts import {name}"


BLOCKING = {"open", "os.open", "os.stat", "os.listdir", "os.scandir", "os.replace", "os.unlink", "time.sleep",
            "os.path.exists", "os.path.getsize", "shutil.copy", "sqlite3.connect"}  # fmt: skip
BLOCKING_ENDS = (".read_text", ".read_bytes", ".write_text", ".write_bytes", ".iterdir", ".exists",
                 ".is_file", ".is_dir", ".stat", ".unlink", ".store.ask", ".store.change", ".audit.add",
                 ".people.check")  # fmt: skip


def handlers_never_block(module: Module) -> Iterator[str]:
    """One thread answers everybody: files and databases only through `await call.run(…)`."""
    if not is_manager(module, "pages", "api"):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef):
            for call in _calls_on_the_loop(node):
                said = ast.unparse(call.func)
                if said in BLOCKING or said.endswith(BLOCKING_ENDS):
                    yield f"line {call.lineno}: {said} on the loop"


def _calls_on_the_loop(node: ast.AST) -> Iterator[ast.Call]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue  # runs elsewhere, or is looked at by itself
        if isinstance(inner, ast.Call):
            yield inner
        yield from _calls_on_the_loop(inner)


def nothing_is_marked_safe(module: Module) -> Iterator[str]:
    """Templates escape everything; no text of ours or of anybody goes around that."""
    if not is_manager(module):
        return
    for name, _ in module.imports():
        if name.rpartition(".")[2] in {"Markup", "markupsafe"}:
            yield f"imports {name}"


RULES: list[Callable[[Module], Iterator[str]]] = [
    says_its_purpose, stays_small, pure_files_stay_pure, protocols_take_time_as_an_argument,
    front_ends_keep_apart, the_library_knows_no_protocol, one_place_wires, front_ends_only_translate,
    front_ends_open_no_files, said_once, one_maker_of_finished, nothing_sent_picks_an_attribute,
    files_earn_their_name, facts_know_no_http, handlers_never_block, nothing_is_marked_safe,
]  # fmt: skip

# For each rule a module that breaks it.
VIOLATIONS = [
    (says_its_purpose, "mv_iptel/x.py", "import os\n"),
    (says_its_purpose, "mv_iptel/x.py", '"""One purpose that does not\nend on its line."""\n'),
    (stays_small, "mv_iptel/x.py", "\n" * (LINES + 1)),
    (pure_files_stay_pure, "mv_iptel/http/protocol.py", "def f():\n    import socket\n"),
    (pure_files_stay_pure, "mv_iptel/library/slots.py", "from asyncio import Lock\n"),
    (pure_files_stay_pure, "mv_iptel/phones/script.py", "import logging.handlers\n"),
    (protocols_take_time_as_an_argument, "mv_iptel/tftp/protocol.py", "import time\nx = time.monotonic()\n"),
    (front_ends_keep_apart, "mv_iptel/http/server.py", "from mv_iptel.tftp.protocol import parse\n"),
    (front_ends_keep_apart, "mv_iptel/tftp/server.py", "from mv_iptel import journal\n"),
    (the_library_knows_no_protocol, "mv_iptel/library/session.py", "from mv_iptel import http\n"),
    (one_place_wires, "mv_iptel/status/server.py", "from mv_iptel.daemon import Daemon\n"),
    (front_ends_only_translate, "mv_iptel/tftp/server.py", 'name = "HTTP_allow_IP.txt"\n'),
    (front_ends_only_translate, "mv_iptel/tftp/server.py", "x = config.settings.max_clients\n"),
    (front_ends_open_no_files, "mv_iptel/http/server.py", 'x = open("a")\n'),
    (front_ends_open_no_files, "mv_iptel/http/server.py", "x = path.read_bytes()\n"),
    (said_once, "mv_iptel/tftp/server.py", "import logging\n"),
    (said_once, "mv_iptel/library/session.py", 'print("x")\n'),
    (one_maker_of_finished, "mv_iptel/http/server.py", "stream.publish(Finished(1))\n"),
    (nothing_sent_picks_an_attribute, "mv_iptel/http/server.py", 'getattr(self, "do_" + verb)()\n'),
    (files_earn_their_name, "mv_iptel/utils.py", ""),
    (facts_know_no_http, "manager/facts/phones.py", "from manager.call import Call\n"),
    (handlers_never_block, "manager/pages/x.py", "async def f(call):\n    x = call.path.read_text()\n"),
    (handlers_never_block, "manager/api/x.py", "async def f(call):\n    call.site.store.ask('x')\n"),
    (nothing_is_marked_safe, "manager/rendering.py", "from markupsafe import Markup\n"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "path", "text"), VIOLATIONS)
def test_a_rule_sees_its_violation(rule, path, text):
    assert list(rule(Module(PurePosixPath(path), text)))


def test_every_rule_was_seen_to_work():
    assert {rule for rule, _, _ in VIOLATIONS} == set(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house(rule):
    assert [f"{module.path}: {complaint}" for module in [*OURS, *MANAGER] for complaint in rule(module)] == []


# The whole tree.


def test_every_reason_stands_in_every_table():
    tables = [
        module.dotted
        for module in OURS
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and "REPLIES" in ast.unparse(node).partition("=")[0].partition(":")[0]
    ]
    assert {name.split(".")[1] for name in tables} >= set(FRONT_ENDS)
    for name in tables:
        assert set(importlib.import_module(name).REPLIES) == set(Reason), name


def test_events_leave_the_library_complete():
    """Who builds a Finished names no field by position: twenty of them are not to be counted by eye."""
    makers = [module for module in OURS if module.area == "library"
              for call, _ in module.calls() if call == "Finished"]  # fmt: skip
    assert len(makers) == 1


def mirrors(module: Module) -> list[str]:
    """Where the test of a module may stand: the mirrored path, or the test of its package."""
    parts = module.path.with_suffix("").parts
    parts = parts if is_manager(module) else parts[1:]  # the manager's tests have a folder of its name
    folder, stem = "/".join(("tests", *parts[:-1])), parts[-1]
    if stem == "__init__":
        return [f"tests/test_{parts[-2]}.py", f"{folder}/test_{parts[-2]}.py"] if len(parts) > 1 else []
    return [f"{folder}/test_{stem}.py"]


def test_each_module_has_its_test():
    """The mirrored file, or a test in the mirrored folder that imports the module."""
    untested = []
    for module in [*OURS, *MANAGER]:
        if not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                   for node in ast.walk(module.tree)):  # fmt: skip
            continue  # only a docstring and names
        if any((ROOT / path).exists() for path in mirrors(module)):
            continue
        place = "manager" if is_manager(module) else module.area
        near = [test for test in TESTS if place in test.path.as_posix().removeprefix("tests/")]
        if not any(module.dotted == name for test in near for name, _ in test.imports()):
            untested.append(str(module.path))
    assert untested == []


def test_each_test_mirrors_something():
    """A test folder stands for a package of ours, for programs of others, or for whole stories."""
    areas = {module.area for module in OURS} | {
        "manager",
        "watchdogd",
        "packaging",
        "clients",
        "stories",
        "benchmarks",
    }
    assert {test.path.parts[1] for test in TESTS if len(test.path.parts) > 2} <= areas


def test_the_map_names_every_module():
    """ARCHITECTURE.md says where to look: each module by its path, or its folder as a whole."""
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", (ROOT / "ARCHITECTURE.md").read_text("utf-8")))
    missing = []
    for module in OURS:  # the manager's table names packages and the modules that one looks for
        path = PurePosixPath(*module.path.parts[1:])
        if path.name != "__init__.py" and str(path) not in named and f"{path.parent}/" not in named:
            missing.append(str(path))
    assert missing == []
    places = (ROOT, ROOT / "mv_iptel")
    lost = [
        name for name in named if name.endswith(".py") and not any((one / name).exists() for one in places)
    ]
    assert lost == []


def test_nothing_of_ours_is_mocked():
    mocked = [(str(test.path), name) for test in TESTS for name, _ in test.imports()
              if name.split(".")[-1] == "mock" or name.startswith("unittest.mock")]  # fmt: skip
    assert mocked == []


def test_tests_sleep_nowhere():
    """A clock is passed. Only tests/clients waits, because programs of others end when they end."""
    sleeping = [
        f"{test.path}:{line}"
        for test in TESTS
        if not test.path.as_posix().startswith("tests/clients/")
        for call, line in test.calls()
        if call in {"time.sleep", "sleep"}
    ]
    assert sleeping == []


def test_the_configuration_in_data_loads(tmp_path):
    """What a new installation starts with has no finding."""
    from mv_iptel import config
    from mv_iptel.home import Home

    for sample in sorted((ROOT / "data").rglob("MV_IPTel*.ini")):
        home = Home(tmp_path / sample.stem)
        target = home.ini
        target.parent.mkdir(parents=True)
        target.write_bytes(sample.read_bytes())
        assert config.load(home).findings == (), sample


def test_every_key_is_documented(tmp_path):
    """Each key that the configuration reads stands in docs/configuration.md, between backticks."""
    from mv_iptel import config
    from mv_iptel.home import Home

    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    whole = config.defaults(Home(tmp_path))
    keys = [
        field.metadata["key"].name
        for part in dataclasses.fields(whole)
        if dataclasses.is_dataclass(section := getattr(whole, part.name))
        for field in dataclasses.fields(section)
        if "key" in field.metadata
    ]
    assert len(keys) > 60
    assert [key for key in keys if f"`{key}`" not in text] == []


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group of commands, with the words that call it."""
    if path:
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{name} is listed and not there"
            yield from commands(inner, (*path, name))


def test_every_command_has_the_common_options_and_examples():
    from mv_iptel.cli import group

    found = list(commands(group))
    assert len(found) > 8
    for path, command in found:
        options = {option for parameter in command.params for option in parameter.opts}
        assert isinstance(command, click.Group) or {"--home", "--json"} <= options, path
        said = command.get_help(click.Context(command, info_name=" ".join(path)))
        assert "mv-iptel " + path[0] in said, f"{path}: --help has no example"


def test_nothing_of_the_machine_it_was_written_on():
    """Sources name no path of a developer's machine."""
    suffixes = {
        ".py",
        ".md",
        ".ini",
        ".cfg",
        ".toml",
        ".sh",
        ".txt",
        ".scr",
        ".conf",
        ".service",
        ".html",
        ".js",
    }
    folders = ["mv_iptel", "manager", "tests", "data", "certs", "docs", "packaging", "benchmarks"]
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
    paths += [path for path in ROOT.iterdir() if path.suffix in suffixes or path.name == "Makefile"]
    homes = re.compile(r"/(?:work|home/(?!mvuser|anna)[a-z]+|Users|root)/[\w.]")
    assert [str(path) for path in paths if homes.search(path.read_text("utf-8", "replace"))] == []


# The manager's pages.

TEMPLATES = sorted((ROOT / "manager" / "templates").rglob("*.html"))
SCRIPTS = [path for path in sorted((ROOT / "manager" / "static").glob("*.js")) if path.name != "htmx.min.js"]
FORBIDDEN = {
    r"\|\s*safe\b|\bautoescape\b": "goes around the escaping",
    r"\sstyle\s*=|<style": "a style of its own: the policy refuses it, write a class",
    r"<script(?![^>]*\ssrc=)": "an inline script: the policy refuses it",
    r"\son[a-z]+\s*=\s*[\"']": "an inline handler: the policy refuses it",
    r"javascript:|hx-on|hx-vals\s*=\s*[\"']js|\beval\b": "code in an attribute",
    r"(?:src|href|action)\s*=\s*[\"'](?:https?:)?//": "comes from elsewhere; pages work without internet",
}
DANGEROUS = r"\.innerHTML|\.outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://"


def complaints_of(text: str) -> list[str]:
    """What a template must not have."""
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)
    return [f"{found[0]!r} {why}" for rule, why in FORBIDDEN.items() for found in re.finditer(rule, text)]


@pytest.mark.parametrize("text", [
    "{{ x | safe }}", "{% autoescape false %}", '<p style="x">', "<style>", "<script>x</script>",
    '<b onclick="x()">', '<a href="javascript:x">', '<img src="https://elsewhere/x.png">',
    '<form action="//elsewhere/">',
])  # fmt: skip
def test_a_rule_of_templates_sees_its_violation(text):
    assert complaints_of(text)


def test_templates_hold_to_the_policy():
    assert len(TEMPLATES) > 10
    wrong = {str(path): found for path in TEMPLATES if (found := complaints_of(path.read_text("utf-8")))}
    assert wrong == {}


def test_scripts_write_text_only():
    """What a phone said comes into a page as text; nothing is fetched from elsewhere."""
    assert SCRIPTS
    assert {
        path.name: found for path in SCRIPTS if (found := re.findall(DANGEROUS, path.read_text("utf-8")))
    } == {}


def asked_for() -> Iterator[tuple[str, str, str]]:
    """(template, method, path) of every address in a template; what is filled in there is `x`."""
    named = re.compile(
        r"""(?:data-api|data-upload)=(["'])(?P<method>[A-Z]+) (?P<path>/.*?)\1"""
        r"""|(?:hx-get|href|action)=(["'])(?P<get>/.*?)\4""",
        re.DOTALL,
    )
    for path in TEMPLATES:
        text = re.sub(r"\{\{.*?\}\}", "x", path.read_text("utf-8"), flags=re.DOTALL)
        text = re.sub(r"\{%.*?%\}", "", text, flags=re.DOTALL)
        for found in named.finditer(text):
            address = found["path"] or found["get"]
            yield path.name, found["method"] or "GET", address.partition("?")[0].partition("#")[0]


def test_templates_ask_for_what_there_is():
    """A button whose path nobody answers is found here and not by its user."""
    from manager.app import routes

    known = [
        (
            route.method,
            re.compile(re.sub(r"\{[^}:]+:([^}]+)\}|\{[^}]+\}", lambda at: at[1] or "[^/]+", route.path)),
        )
        for route in routes()
    ]
    asked = set(asked_for())
    assert len(asked) > 20

    def answered(method: str, path: str) -> bool:
        # What is filled in may be several parts, or a query.
        forms = {path, path.replace("{name}", "x"), re.sub(r"x$", "x/x", path), re.sub(r"(?<!/)x$", "", path)}
        return any(method == verb and rule.fullmatch(form) for verb, rule in known for form in forms)

    lost = [one for one in sorted(asked) if not answered(*one[1:])]
    assert lost == []
