# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH host keys: what is read, and what it says of the system that has them."""

from __future__ import annotations

import pytest

from ansible_collections.hostup.cloud.plugins.module_utils._ssh.keys import (
    choose_keys,
    explain,
    fingerprint,
    judge_keys,
    known_name,
    parse_keys,
)

ED_1, ED_2 = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}" for letter in "AB")
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7"
ECDSA = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY="


def test_reads_scans_and_known_hosts() -> None:
    text = f"# host:22 SSH-2.0-OpenSSH_9.2\nhost {RSA}\n[host]:2222 {ECDSA}\n|1|c2FsdA==|aGFzaA== {ED_1} a comment\n"
    assert parse_keys(text + text) == sorted([RSA, ECDSA, ED_1])
    assert parse_keys("@cert-authority\nno keys here") == []
    assert parse_keys(f"host {ED_1[:-2]}") == []  # cut off


def test_names_as_known_hosts_does() -> None:
    assert (known_name("web-01", 22), known_name("2001:db8::1", 2222)) == ("web-01", "[2001:db8::1]:2222")


def test_fingerprints_as_openssh_does() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    assert fingerprint(key) == "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"


@pytest.mark.parametrize(
    ("keys", "unlike", "verdict"),
    [
        ([], [], "none"),
        ([], [ED_1], "none"),
        ([ED_1], [], "new"),
        ([ED_1], [ED_1], "same"),
        ([ED_1, RSA], [ED_2, RSA], "same"),
        ([ED_2], [ED_1], "new"),
        ([ED_2, RSA], [ED_1], "new"),
        ([RSA], [ED_1, ECDSA], "other_types"),
    ],
)
def test_judges(keys: list[str], unlike: list[str], verdict: str) -> None:
    assert judge_keys(keys, unlike) == verdict


def test_explains_what_is_no_proof() -> None:
    assert explain("new", "host", 60) == ""
    assert explain("none", "host", 60).startswith("No SSH server answers at host after 60 s.")
    assert explain("none", "host", 0).startswith("No SSH server answers at host. ")
    assert "The old system answers: host has an SSH host key" in explain("same", "host", 60)
    assert "other types" in explain("other_types", "host", 60)


def test_what_answers_outranks_known_hosts() -> None:
    assert choose_keys([ED_1], [], [ED_2]) == ([ED_1], ["answered"])
    assert choose_keys([ED_1], [RSA], [ED_2]) == ([ED_1, RSA], ["answered", "remembered"])
    assert choose_keys([], [RSA], [ED_2]) == ([RSA], ["remembered"])
    assert choose_keys([], [], [ED_2]) == ([ED_2], ["known_hosts"])
    assert choose_keys([], [], []) == ([], [])
