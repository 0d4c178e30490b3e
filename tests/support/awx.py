# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of AWX's REST API as awx.awx needs, with the rules that AWX has for what we give it; and that collection."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

CLONE = Path(__file__).resolve().parents[2]
# The package that has awx.awx 24.6.1 in it: there is none of its own.
PACKAGE = "ansible==12.2.0"
COLLECTION = "ansible_collections/awx/awx/"

Item = dict[str, Any]
TEXTS = ("text", "textarea", "password", "multiplechoice", "multiselect")
KINDS = {**dict.fromkeys(TEXTS, str), "integer": int, "float": float}  # of survey questions, with what they take


def install_collection(tree: Path) -> None:
    """Have awx.awx beside the collection of this clone; it is fetched once."""
    packages = CLONE / "tests" / "output" / "packages"
    kept = packages / "awx"
    if not kept.exists():
        packages.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=packages) as fresh:
            pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
            subprocess.run((*pip, "--no-deps", "--dest", fresh, PACKAGE), check=True)
            [wheel] = Path(fresh).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(fresh, [name for name in archive.namelist() if name.startswith(COLLECTION)])
            with suppress(OSError):  # another worker was quicker
                (Path(fresh) / COLLECTION).parent.rename(kept)
    with suppress(FileExistsError):
        (tree / "ansible_collections" / "awx").symlink_to(kept)


class Refusal(Exception):
    """What AWX does not take: status and answer."""

    def __init__(self, status: int, **answer: Any) -> None:
        super().__init__(answer)
        self.status, self.answer = status, answer


@dataclass
class Launched:
    """What a job is given."""

    playbook: str
    extra_vars: dict[str, Any]
    env: dict[str, str]


@dataclass
class Awx:
    """Everything in one AWX. ``playbooks`` are those of any project."""

    playbooks: frozenset[str]
    url: str = ""
    things: dict[str, dict[int, Item]] = field(default_factory=dict)
    links: dict[tuple[str, int, str], list[int]] = field(default_factory=dict)
    surveys: dict[tuple[str, int], Item] = field(default_factory=dict)
    writes: list[tuple[str, str, Item]] = field(default_factory=list)
    _next_id: int = 1

    REFERS: ClassVar[dict[str, str]] = {  # what a field refers to; such a thing cannot be made without it
        "organization": "organizations",
        "credential_type": "credential_types",
        "credential": "credentials",
        "execution_environment": "execution_environments",
        "project": "projects",
        "source_project": "projects",
        "inventory": "inventories",
        "workflow_job_template": "workflow_job_templates",
    }
    GONE_WITH: ClassVar[dict[str, tuple[str, str]]] = {
        "inventories": ("inventory_sources", "inventory"),
        "workflow_job_templates": ("workflow_job_template_nodes", "workflow_job_template"),
    }

    def __post_init__(self) -> None:
        self.add("organizations", {"name": "Default"})

    def named(self, kind: str, name: str) -> Item:
        """The one thing of this kind with this name, or identifier."""
        [item] = [item for item in self.of(kind) if name in (item.get("name"), item.get("identifier"))]
        return item

    def of(self, kind: str) -> list[Item]:
        """All things of a kind."""
        if kind == "unified_job_templates":
            return [*self.of("job_templates"), *self.of("workflow_job_templates")]
        return list(self.things.get(kind, {}).values())

    # --- requests ----------------------------------------------------------------------------------------------------

    def answer(self, method: str, url: str, body: Item) -> tuple[int, Any]:
        """Status and answer."""
        path, query = urlsplit(url).path, dict(parse_qsl(urlsplit(url).query))
        parts = path.removeprefix("/api/v2/").strip("/").split("/")
        if method != "GET":
            self.writes.append((method, path, body))
        try:
            if len(parts) == 1:
                return self._on_list(method, parts[0], query, body)
            kind, number = parts[0], int(parts[1])
            if number not in self.things.get(kind, {}):
                return 404, {"detail": "Not found."}
            if len(parts) == 2:
                return self._on_item(method, kind, number, body)
            return self._on_link(method, kind, number, parts[2], body)
        except Refusal as refusal:
            return refusal.status, refusal.answer

    def _on_list(self, method: str, kind: str, query: dict[str, str], body: Item) -> tuple[int, Any]:
        if method == "POST":
            return 201, self._shown(self.add(kind, body))

        def fits(item: Item) -> bool:
            either = {name.removeprefix("or__"): value for name, value in query.items() if name.startswith("or__")}
            all_of = {name: value for name, value in query.items() if not name.startswith("or__")}
            fit = all(str(item.get(name)) == value for name, value in all_of.items())
            return fit and (not either or any(str(item.get(name)) == value for name, value in either.items()))

        found = [self._shown(item) for item in self.of(kind) if fits(item)]
        return 200, {"count": len(found), "next": None, "results": found}

    def _on_item(self, method: str, kind: str, number: int, body: Item) -> tuple[int, Any]:
        item = self.things[kind][number]
        if method == "PATCH":
            self._check(kind, {**item, **body}, item)
            item.update(self._kept(kind, body, item))
        if method == "DELETE":
            del self.things[kind][number]
            for other, refers in [self.GONE_WITH[kind]] if kind in self.GONE_WITH else []:
                self.things[other] = {i: one for i, one in self.things.get(other, {}).items() if one[refers] != number}
            return 204, None
        return 200, self._shown(item)

    def _on_link(self, method: str, kind: str, number: int, name: str, body: Item) -> tuple[int, Any]:
        if name == "survey_spec":
            if method == "POST":
                check_survey(body)
                self.surveys[kind, number] = body
            return 200, self.surveys.get((kind, number), {})
        if name == "create_approval_template":
            approval = self.add("workflow_approval_templates", body)
            self.things[kind][number]["unified_job_template"] = approval["id"]
            return 201, self._shown(approval)
        linked = self.links.setdefault((kind, number, name), [])
        if method == "GET":
            return 200, {"count": len(linked), "next": None, "results": [{"id": one} for one in linked]}
        if body.get("disassociate"):
            linked.remove(body["id"])
        else:
            linked.append(body["id"])
        return 204, None

    # --- things ------------------------------------------------------------------------------------------------------

    def add(self, kind: str, body: Item) -> Item:
        """Make a thing. Raises Refusal."""
        self._check(kind, body, None)
        number, self._next_id = self._next_id, self._next_id + 1
        item = {"id": number, "type": kind.removesuffix("s"), "kind_": kind, **self._kept(kind, body, {})}
        self.things.setdefault(kind, {})[number] = item
        return item

    def _kept(self, kind: str, body: Item, before: Item) -> Item:
        """A secret that comes back as it is shown stays what it was."""
        if kind != "credentials" or "inputs" not in body:
            return body
        kept = {n: before["inputs"][n] if value == "$encrypted$" else value for n, value in body["inputs"].items()}
        return {**body, "inputs": kept}

    def _shown(self, item: Item) -> Item:
        kind, number = item["kind_"], item["id"]
        url = f"/api/v2/{kind}/{number}/"
        related = {"survey_spec": f"{url}survey_spec/"}
        if item.get("unified_job_template"):
            approvals = self.things.get("workflow_approval_templates", {})
            is_approval = item["unified_job_template"] in approvals
            place = "workflow_approval_templates" if is_approval else "job_templates"
            related["unified_job_template"] = f"/api/v2/{place}/{item['unified_job_template']}/"
        shown = {**item, "url": url, "related": related, "summary_fields": {}, "scm_revision": ""}
        if kind == "credentials":
            secret = self._secrets_of(item)
            shown["inputs"] = {n: "$encrypted$" if n in secret else value for n, value in item["inputs"].items()}
        return shown

    def _secrets_of(self, credential: Item) -> set[str]:
        fields = self.things["credential_types"][credential["credential_type"]]["inputs"]["fields"]
        return {one["id"] for one in fields if one.get("secret")}

    def _check(self, kind: str, item: Item, before: Item | None) -> None:
        for name, other in self.REFERS.items():
            if item.get(name) and item[name] not in self.things.get(other, {}):
                raise Refusal(400, **{name: [f'Invalid pk "{item[name]}" - object does not exist.']})
        if kind == "credential_types":
            self._check_credential_type(item, before)
        if kind == "credentials":
            fields = self.things["credential_types"][item["credential_type"]]["inputs"]
            known = {one["id"] for one in fields["fields"]}
            if not set(fields.get("required", ())) <= item["inputs"].keys() <= known:
                raise Refusal(400, inputs=[f"expected {sorted(known)}, not {sorted(item['inputs'])}"])
        if kind == "job_templates" and item["playbook"] not in self.playbooks:
            raise Refusal(400, playbook=["Playbook not found for project."])
        if kind == "inventory_sources" and item["source"] == "scm" and not item.get("source_project"):
            raise Refusal(400, source_project=["Project required for scm type sources."])

    def _check_credential_type(self, item: Item, before: Item | None) -> None:
        known = {one["id"] for one in item["inputs"]["fields"]}
        for name, template in item["injectors"].get("env", {}).items():
            if name.startswith("ANSIBLE_") or not set(re.findall(r"{{ (\w+)", template)) <= known:
                raise Refusal(400, injectors=[f"Environment variable {name} is not allowed to be used in credentials."])
        is_used = before and any(one["credential_type"] == before["id"] for one in self.of("credentials"))
        if before and is_used and item["inputs"] != before["inputs"]:
            raise Refusal(403, detail="Modifications to inputs are not allowed for credential types that are in use")

    # --- jobs --------------------------------------------------------------------------------------------------------

    def launch(self, name: str, answers: dict[str, Any], artifacts: dict[str, Any] | None = None) -> Launched:
        """What a job of this template is given. Raises Refusal. ``artifacts`` are of the nodes before it."""
        template = self.named("job_templates", name)
        survey = self.surveys["job_templates", template["id"]]["spec"]
        given = {**answered(survey, answers), **(artifacts or {})}
        env: dict[str, str] = {}
        for number in self.links["job_templates", template["id"], "credentials"]:
            credential = self.things["credentials"][number]
            injected = self.things["credential_types"][credential["credential_type"]]["injectors"]["env"]
            inputs = credential["inputs"]
            env |= {n: inputs.get(re.findall(r"{{ (\w+)", text)[0], "") for n, text in injected.items()}
        return Launched(template["playbook"], {**given, "awx_job_id": 1, "tower_job_id": 1}, env)


def check_survey(survey: Item) -> None:
    """Raise Refusal where AWX would."""
    if not {"name", "description", "spec"} <= survey.keys() or not survey["spec"]:
        raise Refusal(400, error="name, description and spec are needed.")
    for question in survey["spec"]:
        kind, default = question["type"], question.get("default", "")
        of_text = [question["question_name"], question["variable"], question.get("question_description", "")]
        is_text = all(isinstance(text, str) for text in of_text)
        if kind not in KINDS or question["required"] not in (True, False) or not is_text:
            raise Refusal(400, error=f"{question} is no question.")
        if default != "" and not isinstance(default, KINDS[kind]):
            raise Refusal(400, error=f"Default value {default} expected to be {KINDS[kind].__name__}.")
        if kind == "multiplechoice" and default not in question["choices"]:
            raise Refusal(400, error="Default choice must be answered from the choices listed.")


def answered(survey: list[Item], answers: dict[str, Any]) -> dict[str, Any]:
    """What a survey leaves in the extra variables. Raises Refusal where the job would not be launched."""
    given: dict[str, Any] = {}
    for question in survey:
        name, kind = question["variable"], question["type"]
        value = answers.get(name, question.get("default", ""))
        if value == "" and question["required"]:
            raise Refusal(400, variables_needed_to_start=[f"'{name}' value missing"])
        if value == "" and kind not in ("text", "textarea", "password"):
            continue  # an integer or a choice that nobody has made does not arrive at all
        if value != "" and not isinstance(value, KINDS[kind]):
            raise Refusal(400, variables_needed_to_start=[f"Value {value} for '{name}' expected to be {kind}."])
        given[name] = value.replace("\n", "\r\n") if kind == "textarea" else value
    return given


@contextmanager
def serve_awx(playbooks: frozenset[str]) -> Iterator[Awx]:
    """Run it on a free port of this machine."""
    awx = Awx(playbooks)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, answer = awx.answer(self.command, self.path, json.loads(text) if text else {})
            body = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        awx.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield awx
        finally:
            server.shutdown()
