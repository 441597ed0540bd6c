"""The command `mv-manager user`: add, list, remove users, their roles and passwords, without the manager."""

from __future__ import annotations

import functools
import getpass
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from manager.audit import Audit
from manager.people import LONGEST, No, People, User, made_up, poor, role_of
from manager.routing import Role
from manager.sessions import Sessions
from manager.store import Store
from mv_iptel import owning
from mv_iptel.cli.forms import Columns
from mv_iptel.cli.options import NEGATIVE, USAGE, end, failed, print_json
from mv_iptel.config import ConfigError, load_manager
from mv_iptel.home import Home
from mv_iptel.status.words import span

ROLES = click.Choice([role.word for role in Role])


class Kept(NamedTuple):
    """What a command works on."""

    people: People
    sessions: Sessions
    audit: Audit

    def wrote(self, action: str, name: str, before: str = "", after: str = "") -> None:
        """Into the audit trail; no user of the manager has a colon in his name."""
        self.audit.add(f"console:{_who()}", "", action, name, before, after)


@click.group()
def user() -> None:
    """Who may sign in to the manager. A running one has every change at once.

    \b
    Examples:
      mv-manager user add anna --role operator
      mv-manager user list
      mv-manager user passwd anna
    """


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--home`, here or before `user`, and `--json`; the command gets `kept` and `as_json`."""

    @click.option(
        "--home", "where", metavar="DIR", default=None,
        help="The installation's home. Default: $MV_IPTEL_HOME, else the system's place.",
    )  # fmt: skip
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
    @click.pass_obj
    @functools.wraps(command)
    def wrapped(above: Home | None, *args: Any, where: str | None, **kwargs: Any) -> Any:
        with _open(above if where is None and above is not None else Home.find(where)) as kept:
            return command(*args, kept=kept, **kwargs)

    return wrapped


@user.command("list")
@common
def list_(kept: Kept, as_json: bool) -> None:
    """All users, their roles, and when they signed in last.

    \b
    Examples:
      mv-manager user list
      mv-manager user list --json
    """
    users, counts = kept.people.all(), kept.sessions.counts()
    if as_json:
        print_json({"users": [{**one.told(), "sessions": counts.get(one.name, 0)} for one in users]})
        return
    if not users:
        click.echo("There is no user yet; `mv-manager user add NAME --role administrator` makes one.")
        return
    columns = Columns("name", "role", "state", "last sign-in", ">browsers")
    for one in users:
        columns.add_row(one.name, one.role.word, _state(one), _ago(one.seen), str(counts.get(one.name, 0)))
    columns.show()


@user.command()
@click.argument("name")
@click.option("--role", type=ROLES, default="viewer", show_default=True, help="What the user may do.")
@click.option("--ask", is_flag=True, help="Ask for the password; from a pipe its first line is taken.")
@common
def add(kept: Kept, as_json: bool, name: str, role: str, ask: bool) -> None:
    """Add the user NAME, with a made-up password that is printed once.

    At the first sign-in the user chooses another one.

    \b
    Examples:
      mv-manager user add anna --role operator
      mv-manager user add anna --role administrator --ask
    """
    password = _asked(name) if ask else made_up()
    made = _done(kept.people.add(name, _role(role), password, fresh=not ask))
    kept.wrote("user added", made.name, after=made.role.word)
    _tell(made, as_json, f"{made.name} is added as {made.role.word}", "" if ask else password)


@user.command()
@click.argument("name")
@click.option("--ask", is_flag=True, help="Ask for the password; from a pipe its first line is taken.")
@common
def passwd(kept: Kept, as_json: bool, name: str, ask: bool) -> None:
    """Give NAME another password, and end all sessions.

    It is made up and printed once, and at the next sign-in the user chooses another one.

    \b
    Examples:
      mv-manager user passwd anna
      printf '%s\\n' "$PASSWORD" | mv-manager user passwd anna --ask
    """
    _there(kept, name)
    password = _asked(name) if ask else made_up()
    made = _done(kept.people.passwd(name, password, fresh=not ask))
    kept.wrote("password reset", made.name, after="all sessions ended")
    kept.people.clear(made.name)
    _tell(made, as_json, f"{made.name} has another password, and is signed out", "" if ask else password)


@user.command()
@click.argument("name")
@click.argument("role", type=ROLES)
@common
def role(kept: Kept, as_json: bool, name: str, role: str) -> None:
    """Give NAME another role: viewer, operator or administrator. It also lets in again who was kept out.

    \b
    Examples:
      mv-manager user role anna administrator
    """
    old = _there(kept, name)
    made = _done(kept.people.change(name, _role(role), disabled=False))
    kept.wrote("user changed", made.name, _state_words(old), _state_words(made))
    _tell(made, as_json, f"{made.name} is {made.role.word} now")


@user.command()
@click.argument("name")
@common
def remove(kept: Kept, as_json: bool, name: str) -> None:
    """Remove NAME, and end all sessions. The last administrator stays.

    \b
    Examples:
      mv-manager user remove anna
    """
    gone = _done(kept.people.remove(name))
    kept.people.clear(gone.name)
    kept.wrote("user removed", gone.name, before=_state_words(gone))
    _tell(gone, as_json, f"{gone.name} is removed")


def must_be(home: Home) -> None:
    """End the command where there is no home."""
    if not home.ini.exists():
        mend = "make a home with `mv-iptel init`, or name it with --home"
        end(USAGE, f"{home.ini}: there is no such file; {mend}")


@contextmanager
def _open(home: Home) -> Iterator[Kept]:
    """The manager's database. Ends the command when it cannot be used."""
    must_be(home)
    try:
        config = load_manager(home)
        path = home.manager / "data" / "manager.db"
        # Root opens it as the manager, who may have laid out a link in its place.
        click.get_current_context().with_resource(owning.as_owner(path.parent))
        new = not path.exists()
        store = Store(path)
    except ConfigError as error:
        end(USAGE, "\n".join(str(finding) for finding in error.findings))
    except OSError as error:
        failed(error)
    except sqlite3.Error as error:
        end(NEGATIVE, f"{path}: {error}")
    try:
        if new:
            _hand_over(path)
        people = People(store, home)
        people.first()
        yield Kept(people, Sessions(store, people, config.settings.session_time), Audit(store))
    except sqlite3.Error as error:
        end(NEGATIVE, f"{path}: {error}; run as the manager's user")
    finally:
        store.close()


def _hand_over(path: Any) -> None:
    """A database that root makes belongs to whom its directory belongs to: the manager opens it later."""
    if os.name != "posix" or os.geteuid() != 0:
        return
    owner = path.parent.stat()
    for one in path.parent.glob(path.name + "*"):
        os.chown(one, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _asked(name: str) -> str:
    """A password that somebody types twice, or pipes in."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt="The same again")
    else:
        password = sys.stdin.readline(LONGEST + 2).rstrip("\r\n")
    wrong = poor(password, name)
    if wrong:
        end(USAGE, f"the password: {wrong}")
    return password


def _there(kept: Kept, name: str) -> User:
    found = kept.people.get(name)
    return found if found is not None else end(NEGATIVE, f"{name}: there is no such user")


def _done(answer: User | No) -> User:
    if isinstance(answer, No):
        end(USAGE if answer.kind == "invalid" else NEGATIVE, answer.text)
    return answer


def _role(word: str) -> Role:
    found = role_of(word)
    assert found is not None  # click has looked
    return found


def _tell(one: User, as_json: bool, text: str, password: str = "") -> None:
    if as_json:
        print_json({**one.told(), **({"password": password} if password else {})})
        return
    click.echo(text)
    if password:
        click.echo(f"First password, shown only now: {password}")


def _state(one: User) -> str:
    return "kept out" if one.disabled else "must choose a password" if one.fresh else "may sign in"


def _state_words(one: User) -> str:
    return one.role.word + (", kept out" if one.disabled else "")


def _ago(moment: float) -> str:
    return f"{span(max(0, int(time.time() - moment)))} ago" if moment else "never"


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user number without a name
        return str(os.getuid()) if hasattr(os, "getuid") else "?"
