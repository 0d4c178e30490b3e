# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options as plain values."""

from __future__ import annotations

import typing as t


def plain(value: t.Any) -> t.Any:
    """An option without Ansible's own kinds of text. One that is encrypted is decrypted, whatever its class is called.

    Raises AnsibleError when it cannot be.
    """
    if isinstance(value, t.Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
