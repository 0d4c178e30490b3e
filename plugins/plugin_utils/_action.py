# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action shell: runs a task inside the controller, or hands it to its module where that is asked for."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.hostup.cloud.plugins.module_utils._api.transport import (
    HAS_REQUESTS,
    adapter_with,
    ca_bundle,
)
from ansible_collections.hostup.cloud.plugins.module_utils._errors import HostUpError
from ansible_collections.hostup.cloud.plugins.module_utils._tasks import options
from ansible_collections.hostup.cloud.plugins.module_utils._tasks.task import Runnable, Shell
from ansible_collections.hostup.cloud.plugins.plugin_utils._plain import plain

if HAS_REQUESTS:
    with contextlib.suppress(HostUpError):  # a wrong CA bundle is told by the task that needs it
        adapter_with(ca_bundle(None), True)  # Ansible loads this file before it forks: every worker inherits it

ENVIRONMENT_PREFIX = "HOSTUP_"
WITHOUT_RUN_ONCE = ("free", "host_pinned")  # how the names of strategies end that know only single hosts

display = Display()


class HostUpActionBase(ActionBase):
    """What the actions share; each names its task."""

    task: Runnable
    _validator: ArgumentSpecValidator

    _supports_check_mode = True
    _supports_async = True
    _requires_connection = False

    def __init_subclass__(cls) -> None:
        """Build the validator once, before Ansible forks."""
        super().__init_subclass__()
        cls._validator = ArgumentSpecValidator(**cls.task.spec)

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the task, or its module when it is asynchronous or delegated to another machine."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        # an empty option leaves the environment variable its say
        args = {
            name: value
            for name, value in plain(self._task.args).items()
            if not (name in options.CONNECTION and value in (None, ""))
        }
        is_local = self._connection.transport == "local"
        is_delegated = self._task.delegate_to is not None
        if self._task.async_val and not (is_local or is_delegated):
            result.update(
                failed=True,
                msg="async would copy the API key to the host itself: add delegate_to: localhost to this task.",
            )
            return result
        strategy = self._strategy_without_run_once(task_vars or {})
        if args.get("vps_ids") is not None and strategy:
            result.update(
                failed=True,
                msg=f"The strategy {strategy} does not heed run_once: each host would do this to all of vps_ids. "
                "Move the task to a play with hosts: localhost, or use the strategy linear. Nothing was done.",
            )
            return result
        with _environment(self._take_environment()):
            checked = self._validator.validate(args)
            params = checked.validated_parameters
            secrets = self.task.secrets_of(params) | checked._no_log_values
            module = self._task.resolved_action or self._task.action
            spec = self.task.spec["argument_spec"]
            wrong = [*options.explain(checked.errors, args, spec, module), *options.null_options(args)]
            if wrong:
                result.update(failed=True, msg=remove_values("; ".join(wrong), secrets))
            elif self._task.async_val or (is_delegated and not is_local):
                return self._run_module({**args, **_resolved_connection(params)}, task_vars)
            else:
                shell = Shell(self._task.check_mode, self._say(task_vars or {}, secrets), _run_command)
                result.update(self.task.run(params, shell))
        result["invocation"] = remove_values({"module_args": params}, secrets)  # the task masks its own result
        return result

    def _strategy_without_run_once(self, task_vars: dict[str, t.Any]) -> str | None:
        """The strategy, if the task says `run_once` and will be run for several hosts all the same."""
        if not self._task.run_once or len(task_vars.get("ansible_play_hosts_all", ())) < 2:
            return None
        parent = self._task._parent
        while parent and not hasattr(parent, "_play"):  # blocks know their play, what includes files does not
            parent = parent._parent
        strategy = str(self._templar.template(parent._play.strategy)) if parent else ""
        return strategy if strategy.endswith(WITHOUT_RUN_ONCE) else None

    def _take_environment(self) -> dict[str, str]:
        """The task's environment. Our variables are moved out of it, to where they are not shown.

        What starts a module, and what polls an asynchronous one, shows the task's environment at -vvv.
        They stay with the task, for with `until` it comes here again.
        """
        computed: dict[str, t.Any] = {}
        if any(self._task.environment or []):
            self._compute_environment_string(computed)
        environment = {name: str(value) for name, value in computed.items()}
        ours = {name: value for name, value in environment.items() if name.startswith(ENVIRONMENT_PREFIX)}
        self._task.environment = [{name: value for name, value in environment.items() if name not in ours}]
        self._task.hostup_environment = {**getattr(self._task, "hostup_environment", {}), **ours}
        return {**environment, **self._task.hostup_environment}

    def _run_module(self, args: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        return t.cast(
            "dict[str, t.Any]",
            self._execute_module(
                module_name=self._task.action,
                module_args=args,
                task_vars=task_vars,
                wrap_async=self._task.async_val,
            ),
        )

    def _say(self, task_vars: dict[str, t.Any], secrets: set[str]) -> t.Callable[[str], None]:
        """Prints a line that tells how the task goes, where it is in no callback's way. Silent under no_log."""
        host = task_vars.get("inventory_hostname", "localhost")

        def say(line: str) -> None:
            if not self._task.no_log:
                display.display(remove_values(f"{host}: {line}", secrets), stderr=True)

        return say


def _run_command(command: list[str], seconds: float) -> str:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as expired:
        return (expired.stdout or b"").decode(errors="replace")
    return done.stdout.decode(errors="replace")


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> t.Iterator[None]:
    """Set the task's ``environment``; the worker runs one task for one host."""
    before = dict(os.environ) if variables else {}
    os.environ.update(variables)
    try:
        yield
    finally:
        if variables:
            os.environ.clear()
            os.environ.update(before)


def _resolved_connection(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """What the controller's environment says, as arguments."""
    return {name: params[name] for name, spec in options.CONNECTION.items() if "fallback" in spec and name in params}
