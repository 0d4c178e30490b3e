# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version of the collection: that of galaxy.yml, which is in no installed collection. A test compares the two."""

from __future__ import annotations

VERSION = "0.3.0"
