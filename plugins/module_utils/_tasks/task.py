# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tasks of all modules have in common: parameters are checked, work is done, and secrets are kept.

Both shells, the action and the module, run these tasks and nothing else.
"""

from __future__ import annotations

import json
import typing as t
from contextlib import closing, contextmanager
from dataclasses import dataclass

from ansible.module_utils.common.parameters import remove_values, sanitize_keys

from ansible_collections.hostup.cloud.plugins.module_utils._api.client import Client, Connection
from ansible_collections.hostup.cloud.plugins.module_utils._api.vps import check_vps_ids, find_vps
from ansible_collections.hostup.cloud.plugins.module_utils._clock import Deadline
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._sharing.reinstalls import Reinstalls
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.fleet import Deferred, Fleet, Result, summary

if t.TYPE_CHECKING:  # most modules read no host keys
    from ansible_collections.hostup.cloud.plugins.module_utils._ssh.scan import RunCommand

INFO_DEADLINE = 3600.0  # seconds; bounds the wait for a rate limit where there is no wait_timeout

Params = t.Mapping[str, t.Any]
Lines = t.Callable[[str], None]
Wish = t.TypeVar("Wish")


class Shell(t.NamedTuple):
    """What a task has of the shell that runs it. ``say`` takes lines that tell how it goes."""

    check_mode: bool
    say: Lines
    run_command: RunCommand


class Context(t.NamedTuple):
    """How a task is run. ``secrets`` is added to when more of them become known.

    ``unknown`` is the task's result when nothing is known yet.
    """

    check_mode: bool
    run_command: RunCommand
    secrets: set[str]
    unknown: Result


class Runnable(t.Protocol):
    """What both shells run: a `Task`, or what asks no API."""

    @property
    def spec(self) -> dict[str, t.Any]:
        """The argument spec, and what else `AnsibleModule` takes."""

    def secrets_of(self, params: Params) -> set[str]:
        """What must never be shown of the parameters, valid or not."""

    def run(self, params: Params, shell: Shell) -> Result:
        """The result, or the failed result."""


@dataclass(frozen=True)
class Task(t.Generic[Wish]):
    """A module's argument spec and its work.

    ``check`` raises HostUpError for what can be seen to be wrong without the API, and returns the wish; ``secrets``
    what must never be shown of the parameters, valid or not. ``unknown`` is the result when nothing is known yet.
    """

    spec: dict[str, t.Any]
    check: t.Callable[[Params], Wish]
    unknown: Result
    work: t.Callable[[Client, Params, Wish, Context], Result]
    secrets: t.Callable[[Params], set[str]] = lambda _params: set()

    def secrets_of(self, params: Params) -> set[str]:
        """What must never be shown of a task's parameters, valid or not."""
        return self.secrets(params) | ({params["api_key"]} if params.get("api_key") else set())

    def run(self, params: Params, shell: Shell) -> Result:
        """The result, or the failed result. No secret is in it, whatever the API has echoed."""
        context = Context(shell.check_mode, shell.run_command, self.secrets_of(params), self.unknown)
        warnings: list[str] = []
        try:
            result = self._run(params, context, shell.say, warnings.append)
        except HostUpError as error:
            is_fleet = params.get("vps_ids") is not None
            found = summary([], with_diff="diff" in self.unknown) if is_fleet else self.unknown
            result = {"changed": False, **found, **error.as_result()}
        if warnings:
            result["warnings"] = [*result.get("warnings", []), *warnings]
        return _masked(result, context.secrets, params["api_key"])

    def _run(self, params: Params, context: Context, say: Lines, warn: Lines) -> Result:
        wish = self.check(params)
        deadline = Deadline(params.get("wait_timeout", INFO_DEADLINE))
        with closing(Client(Connection.from_params(params), deadline, say, warn)) as client:
            return self.work(client, params, wish, context)


def on_selected(client: Client, params: Params, context: Context, work: t.Callable[[str], Result | Deferred]) -> Result:
    """Do to the selected VPS, or to each of a fleet, what ``work`` does, which is given their IDs."""
    vps_ids = check_vps_ids(params["vps_ids"])
    if vps_ids is not None:
        tell_what_is_left(client, vps_ids)
        return Fleet(client, vps_ids, work, context.unknown).run()
    vps_id = find_vps(client, params)
    tell_what_is_left(client, [vps_id])
    result = work(vps_id)
    return result.go_on() if isinstance(result, Deferred) else result


def tell_what_is_left(client: Client, vps_ids: t.Iterable[str]) -> None:
    """Warn of what interrupted reinstallations have left behind."""
    reinstalls = Reinstalls(client.notes, client.origin)
    for vps_id in vps_ids:
        left = reinstalls.left_behind(vps_id)
        if left:
            client.warn(left.tell(vps_id))


@contextmanager
def telling(result: t.Callable[[], Result]) -> t.Iterator[None]:
    """Have a failure tell what is known so far."""
    try:
        yield
    except HostUpError as error:
        error.so_far = result()
        raise


def refuse_no_time(params: Params) -> None:
    """Raise HostUpError for a ``wait_timeout`` in which nothing can be done."""
    if params["wait_timeout"] < 1:
        raise HostUpError(f"wait_timeout must be at least 1 second, not {params['wait_timeout']}.")


def refuse_empty(params: Params, *names: str) -> None:
    """Raise HostUpError for an empty text, as an undefined variable leaves it: no choice, and not to pass for none."""
    for name in names:
        if params[name] is not None and not params[name].strip():
            raise HostUpError(f"{name} is empty: leave it out, or say which ISO is meant.")


def _masked(result: Result, secrets: set[str], api_key: str | None) -> Result:
    """The result without secrets. To mask takes long for a fleet, so see first whether there is anything to mask."""
    text = json.dumps(result, ensure_ascii=False)
    if any(json.dumps(secret, ensure_ascii=False)[1:-1] in text for secret in secrets):
        result = sanitize_keys(remove_values(result, secrets), {api_key} if api_key else set())
    return result
