# SPDX-License-Identifier: GPL-3.0-or-later
"""An emulator of the part of the HostUp API that this collection uses.

It lets a stranger try everything without an account, and lets every test speak real HTTP.
Run it from the folder ``emulator`` with ``python -m hostup_emulator``.
"""
